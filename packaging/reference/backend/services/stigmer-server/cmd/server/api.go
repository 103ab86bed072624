package main

import (
	"context"
	"time"

	"github.com/rs/zerolog"
	"google.golang.org/grpc"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// api is what we serve: two unary methods that take and give one protobuf string. The reference stack has no
// generated stubs, so that building it needs no protobuf compiler; the service is described by hand instead.
type api interface {
	Run(ctx context.Context, request string) (string, error)
	Get(ctx context.Context, id string) (string, error)
}

var apiDescription = grpc.ServiceDesc{
	ServiceName: "stigmer.reference.v1.Executions",
	HandlerType: (*api)(nil),
	Methods:     []grpc.MethodDesc{unary("Run", api.Run), unary("Get", api.Get)},
}

// unary describes a method of the API as generated code would.
func unary(name string, method func(api, context.Context, string) (string, error)) grpc.MethodDesc {
	handler := func(server any, ctx context.Context, decode func(any) error, intercept grpc.UnaryServerInterceptor) (any, error) {
		request := new(wrapperspb.StringValue)
		if err := decode(request); err != nil {
			return nil, err
		}
		call := func(ctx context.Context, request any) (any, error) {
			answer, err := method(server.(api), ctx, request.(*wrapperspb.StringValue).GetValue())
			return wrapperspb.String(answer), err
		}
		info := &grpc.UnaryServerInfo{Server: server, FullMethod: "/stigmer.reference.v1.Executions/" + name}
		return intercept(ctx, request, info, call)
	}
	return grpc.MethodDesc{MethodName: name, Handler: handler}
}

// newServer serves the API in plain text with messages of up to 10 MB each way, and logs every call.
func newServer(implementation api, logger zerolog.Logger) *grpc.Server {
	const messageLimit = 10 << 20
	server := grpc.NewServer(
		grpc.MaxRecvMsgSize(messageLimit), grpc.MaxSendMsgSize(messageLimit), grpc.UnaryInterceptor(logCalls(logger)))
	server.RegisterService(&apiDescription, implementation)
	return server
}

func logCalls(logger zerolog.Logger) grpc.UnaryServerInterceptor {
	return func(ctx context.Context, request any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
		begun := time.Now()
		answer, err := handle(ctx, request)
		event := logger.Info().Str("method", info.FullMethod).Stringer("code", status.Code(err))
		event.Dur("ms", time.Since(begun)).AnErr("error", err).Msg("Call answered")
		return answer, err
	}
}

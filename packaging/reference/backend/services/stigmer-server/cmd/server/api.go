package main

import (
	"context"
	"time"

	"github.com/rs/zerolog"
	"google.golang.org/grpc"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// api is the gRPC service: two unary methods with a protobuf string as request and response. The reference stack has no
// generated stubs, so that no protobuf compiler is needed to build it; the service description is handwritten.
type api interface {
	Run(ctx context.Context, request string) (string, error)
	Get(ctx context.Context, id string) (string, error)
}

var apiDescription = grpc.ServiceDesc{
	ServiceName: "stigmer.reference.v1.Executions",
	HandlerType: (*api)(nil),
	Methods:     []grpc.MethodDesc{unary("Run", api.Run), unary("Get", api.Get)},
}

// unary returns the description of an API method, as generated code would.
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

// newServer returns a server of the API without TLS that limits messages to 10 MiB each way and logs every call.
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

package main

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"go.temporal.io/api/serviceerror"
	"google.golang.org/grpc/codes"
)

func TestAnExceededDeadlineDiffersFromAnUnavailableTemporal(t *testing.T) {
	over, cancel := context.WithCancel(context.Background())
	cancel()
	cases := []struct {
		ctx  context.Context
		err  error
		want codes.Code
	}{
		{over, errors.New("anything"), codes.Canceled},
		{context.Background(), serviceerror.NewDeadlineExceeded("too late"), codes.DeadlineExceeded},
		{context.Background(), fmt.Errorf("asking: %w", context.DeadlineExceeded), codes.DeadlineExceeded},
		{context.Background(), serviceerror.NewUnavailable("connection refused"), codes.Unavailable},
	}
	for _, each := range cases {
		if got := waitingCode(each.ctx, each.err); got != each.want {
			t.Errorf("%v: got %v, want %v", each.err, got, each.want)
		}
	}
}

// Command clock answers every call with the current time.
package main

import (
	"time"

	"example.invalid/greetings/rpc"
)

func main() {
	rpc.Serve("CLOCK_PORT", func(string) (string, error) { return time.Now().UTC().Format(time.RFC3339), nil })
}

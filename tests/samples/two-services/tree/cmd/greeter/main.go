// Command greeter answers every call with a greeting and the clock's time.
package main

import "example.invalid/greetings/rpc"

func main() {
	clock := rpc.Required("CLOCK_ADDRESS")
	rpc.Serve("GREETER_PORT", func(text string) (string, error) {
		now, err := rpc.Call(clock, "/greetings.v1.Clock/Now", "")
		return `{"state": "completed", "message": "hello, it is ` + now + `"}`, err
	})
}

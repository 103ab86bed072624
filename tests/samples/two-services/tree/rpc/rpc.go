// Package rpc serves and makes unary gRPC calls with a protobuf string each way, using only the standard library.
package rpc

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"os/signal"
	"syscall"
)

// Serve answers every call with the result of answer(request) until SIGTERM or SIGINT. It exits with 1 if the port's
// environment variable is not set, or the port is in use.
func Serve(variable string, answer func(string) (string, error)) {
	port := Required(variable)
	server := &http.Server{Addr: "127.0.0.1:" + port, Protocols: protocols()}
	server.Handler = http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		w.Header().Set("Content-Type", "application/grpc")
		w.Header().Set("Trailer", "Grpc-Status, Grpc-Message")
		body, err := io.ReadAll(request.Body)
		if err == nil {
			var text string
			if text, err = answer(unframe(body)); err == nil {
				_, err = w.Write(frame(text))
			}
		}
		w.Header().Set("Grpc-Status", "0")
		if err != nil {
			w.Header().Set("Grpc-Status", "14")
			w.Header().Set("Grpc-Message", err.Error())
		}
	})
	ended, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	go func() {
		<-ended.Done()
		_ = server.Close()
	}()
	log.Printf("listening on %s", port)
	if err := server.ListenAndServe(); err != http.ErrServerClosed {
		log.Fatal(err)
	}
}

// Call calls a method of the service at address and returns its answer.
func Call(address, method, text string) (string, error) {
	client := &http.Client{Transport: &http.Transport{Protocols: protocols()}}
	request, err := http.NewRequest("POST", "http://"+address+method, bytes.NewReader(frame(text)))
	if err != nil {
		return "", err
	}
	request.Header.Set("Content-Type", "application/grpc")
	request.Header.Set("TE", "trailers")
	response, err := client.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.Trailer.Get("Grpc-Status") != "0" {
		return "", fmt.Errorf("%s said %v %v", address, response.Trailer, err)
	}
	return unframe(body), nil
}

// Required returns a variable's value, or exits with a message that names the variable if it is unset or empty.
func Required(variable string) string {
	value := os.Getenv(variable)
	if value == "" {
		log.Fatalf("%s is required", variable)
	}
	return value
}

func protocols() *http.Protocols {
	var known http.Protocols
	known.SetUnencryptedHTTP2(true)
	return &known
}

// frame returns a google.protobuf.StringValue as a gRPC message: one byte of flags, four of length, and the message.
func frame(text string) []byte {
	message := append(binary.AppendUvarint([]byte{0x0a}, uint64(len(text))), text...)
	return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(message))), message...)
}

func unframe(data []byte) string {
	if len(data) < 7 {
		return ""
	}
	length, used := binary.Uvarint(data[6:])
	if used <= 0 || uint64(len(data)-6-used) < length {
		return ""
	}
	return string(data[6+used : 6+used+int(length)])
}

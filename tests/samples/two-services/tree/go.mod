module example.invalid/greetings

go 1.24

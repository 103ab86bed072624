module stigmer.ai/program

go 1.26.0

require github.com/klauspost/compress v1.18.7

module web-go

go 1.19

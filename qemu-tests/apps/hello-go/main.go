// Says hello on both outputs, shows its arguments and one variable, uses goroutines, timers and a local connection,
// and ends with the status that "exit N" asks for.
package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"sync"
	"time"
)

func sum() int {
	var group sync.WaitGroup
	numbers := make(chan int)
	for i := 1; i <= 100; i++ {
		group.Add(1)
		go func(number int) {
			defer group.Done()
			numbers <- number
		}(i)
	}
	go func() { group.Wait(); close(numbers) }()
	total := 0
	for number := range numbers {
		total += number
	}
	return total
}

func echo() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	go func() {
		if connection, err := listener.Accept(); err == nil {
			io.Copy(connection, connection)
			connection.Close()
		}
	}()
	connection, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		return "", err
	}
	fmt.Fprint(connection, "there and back")
	connection.(*net.TCPConn).CloseWrite()
	text, err := io.ReadAll(connection)
	return string(text), err
}

func main() {
	fmt.Println("hello, world")
	for i, argument := range os.Args[1:] {
		fmt.Printf("argument %d: %s\n", i+1, argument)
	}
	fmt.Printf("GREETING=%s\n", os.Getenv("GREETING"))
	fmt.Println("goroutines:", sum())
	started := time.Now()
	<-time.After(30 * time.Millisecond)
	fmt.Println("timer:", time.Since(started) >= 30*time.Millisecond)
	text, err := echo()
	fmt.Println("echo:", text, err)
	fmt.Fprintln(os.Stderr, "a word on stderr")
	if len(os.Args) > 2 && os.Args[1] == "exit" {
		status, _ := strconv.Atoi(os.Args[2])
		os.Exit(status)
	}
}

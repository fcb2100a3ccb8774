// A web server for the folder "static" of the working directory, on port 8080.
package main

import (
	"log"
	"net/http"
)

func main() {
	files := http.FileServer(http.Dir("static"))
	http.Handle("/static/", http.StripPrefix("/static/", files))
	log.Println("serving static/ on port 8080")
	log.Fatal(http.ListenAndServe(":8080", nil))
}

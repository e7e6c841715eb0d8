// A server of Go's net/http, as its documentation writes it.
package main

import (
	"bufio"
	"crypto/sha256"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strings"
)

func main() {
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s %s %s", r.Method, r.URL.EscapedPath(), r.URL.Path, r.URL.Query().Get("q"))
	})
	mux.HandleFunc("/upload", func(w http.ResponseWriter, r *http.Request) {
		file, header, err := r.FormFile("file")
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		sum := sha256.New()
		size, _ := io.Copy(sum, file)
		fmt.Fprintf(w, "%s %d %x", header.Filename, size, sum.Sum(nil))
	})
	mux.HandleFunc("/stream", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for turn := 1; turn <= 3; turn++ {
			fmt.Fprintf(w, "data: %d\n\n", turn)
			w.(http.Flusher).Flush()
			if turn == 2 {
				<-wait
			}
		}
	})
	mux.HandleFunc("/go-on", func(w http.ResponseWriter, r *http.Request) { wait <- true })
	mux.HandleFunc("/hints", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "</a.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		w.Header().Set("Trailer", "X-Sum")
		io.WriteString(w, "hinted")
		w.Header().Set("X-Sum", "1")
	})
	mux.HandleFunc("/hijack", func(w http.ResponseWriter, r *http.Request) {
		if !strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
			w.Header().Set("Upgrade", "websocket")
			w.WriteHeader(http.StatusUpgradeRequired)
			return
		}
		conn, buffered, err := w.(http.Hijacker).Hijack()
		if err != nil {
			log.Print(err)
			return
		}
		defer conn.Close()
		io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
		lines := bufio.NewScanner(buffered)
		for lines.Scan() {
			fmt.Fprintf(conn, "you wrote %s\n", lines.Text())
		}
	})
	mux.Handle("/files/", http.StripPrefix("/files/", http.FileServer(http.Dir("files"))))
	mux.HandleFunc("/boom", func(w http.ResponseWriter, r *http.Request) { panic("deliberate mistake") })
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Getenv("PORT"), mux))
}

var wait = make(chan bool)

// Command app is what pods of the tests run.
package main

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
)

func main() {
	run := map[string]func() error{
		"serve":   serve,
		"webhook": webhook,
		"eat":     eat,
		"cat":     func() error { _, err := io.Copy(os.Stdout, os.Stdin); return err },
		"bpf":     trace,
		"ps":      ps,
		"wait":    func() error { fmt.Println("waiting"); time.Sleep(time.Hour); return nil },
		"true":    func() error { return nil },
	}[os.Args[1]]
	if err := run(); err != nil {
		log.Fatal(err)
	}
}

// serve answers /get?URL with what it got from there.
func serve() error {
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "here is "+os.Getenv("HOSTNAME")) })
	http.HandleFunc("/get", func(w http.ResponseWriter, r *http.Request) {
		client := http.Client{Timeout: 5 * time.Second}
		answer, err := client.Get(r.URL.RawQuery)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		defer answer.Body.Close()
		io.Copy(w, answer.Body)
	})
	fmt.Println("serving")
	return http.ListenAndServe(":"+os.Args[2], nil)
}

// webhook refuses objects named refused.
func webhook() error {
	cert, err := tls.X509KeyPair([]byte(os.Getenv("CERTIFICATE")), []byte(os.Getenv("KEY")))
	if err != nil {
		return err
	}
	server := http.Server{Addr: ":8443", TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}}}
	server.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var review struct {
			Request struct{ UID, Name string } `json:"request"`
		}
		if err := json.NewDecoder(r.Body).Decode(&review); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		json.NewEncoder(w).Encode(map[string]any{
			"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
			"response": map[string]any{
				"uid": review.Request.UID, "allowed": review.Request.Name != "refused",
				"status": map[string]any{"message": "refused by " + os.Getenv("HOSTNAME")},
			},
		})
	})
	return server.ListenAndServeTLS("", "")
}

// eat takes memory until it is killed.
func eat() error {
	for all := [][]byte{}; ; {
		b := make([]byte, 1<<20)
		for i := range b {
			b[i] = 1
		}
		all = append(all, b)
	}
}

// trace attaches a program to a raw tracepoint.
func trace() error {
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type: ebpf.RawTracepoint, License: "GPL",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()},
	})
	if err != nil {
		return err
	}
	l, err := link.AttachRawTracepoint(link.RawTracepointOptions{Name: "sched_switch", Program: p})
	if err != nil {
		return err
	}
	defer l.Close()
	fmt.Println("attached")
	return nil
}

// ps prints the arguments of all processes that it sees.
func ps() error {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return err
	}
	for _, e := range entries {
		if text, err := os.ReadFile("/proc/" + e.Name() + "/cmdline"); err == nil && strings.Trim(e.Name(), "0123456789") == "" {
			fmt.Println(e.Name(), strings.ReplaceAll(string(text), "\x00", " "))
		}
	}
	return nil
}

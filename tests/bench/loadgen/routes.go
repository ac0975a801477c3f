package main

import (
	"crypto/md5"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

var (
	route   = flag.String("route", "", "repeat one request: part_limit, auth_sign (20 parts), initiate (4 KiB), or a path to GET, where # is a number that counts up")
	seconds = flag.Float64("seconds", 5, "how long, with -route")
	first   = flag.Int64("first", 0, "where # begins to count")
	counted int64
)

// repeat sends one kind of request on -c workers for -seconds, and prints rate and latency.
func repeat() {
	tr := &http.Transport{MaxIdleConnsPerHost: 256, DisableKeepAlives: *noKeep}
	c := client{&http.Client{Transport: tr, Timeout: 30 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}}, nil}
	do, err := request(c)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	latency = map[string][]float64{}
	end := time.Now().Add(time.Duration(*seconds * float64(time.Second)))
	var ok, failed int64
	var wg sync.WaitGroup
	start := time.Now()
	for w := 0; w < *conc; w++ {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for time.Now().Before(end) {
				if err := do(); err != nil {
					atomic.AddInt64(&failed, 1)
					mu.Lock()
					errs[err.Error()]++
					mu.Unlock()
					time.Sleep(10 * time.Millisecond)
				} else {
					atomic.AddInt64(&ok, 1)
				}
			}
		}()
	}
	wg.Wait()
	report("requests/s", ok, failed, time.Since(start).Seconds())
	if failed > 0 {
		os.Exit(1)
	}
}

// request is one call of what -route names.
func request(c client) (func() error, error) {
	switch {
	case *route == "part_limit":
		return func() error { var out json.RawMessage; return c.call("/object/part_limit", map[string]any{}, &out) }, nil
	case *route == "initiate":
		return func() error {
			b := make([]byte, 16)
			rand.Read(b)
			h := hex.EncodeToString(b)
			var out json.RawMessage
			return c.call("/object/initiate_multipart_upload", map[string]any{"hash": h, "size": 4096, "partSize": partSize,
				"maxParts": 1, "cause": "", "name": *user + "/" + h, "contentType": "application/octet-stream"}, &out)
		}, nil
	case *route == "auth_sign":
		sum := md5.Sum([]byte(fmt.Sprint(time.Now().UnixNano())))
		u := &upload{name: *user + "/signed", data: make([]byte, 20*partSize)}
		for i := 0; i < 20; i++ {
			u.sums = append(u.sums, hex.EncodeToString(sum[:]))
		}
		if err := c.initiate(u); err != nil {
			return nil, err
		}
		numbers := make([]int, 20)
		for i := range numbers {
			numbers[i] = i + 1
		}
		return func() error {
			var out json.RawMessage
			return c.call("/object/auth_sign", map[string]any{"uploadID": u.id, "partNumbers": numbers}, &out)
		}, nil
	case strings.HasPrefix(*route, "/"):
		return func() error {
			t := time.Now()
			r, err := c.api.Get(*base + strings.ReplaceAll(*route, "#", fmt.Sprint(*first+atomic.AddInt64(&counted, 1))))
			if err != nil {
				return err
			}
			io.Copy(io.Discard, r.Body)
			r.Body.Close()
			record("get"+r.Header.Get("X-OpenIM-Direct-Thumbnail"), t)
			if r.StatusCode != 302 {
				return fmt.Errorf("GET: HTTP %d", r.StatusCode)
			}
			return nil
		}, nil
	}
	return nil, fmt.Errorf("-route %s: unknown", *route)
}

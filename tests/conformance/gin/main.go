// What v3.4.0 reads of a request: its routes and shapes on gin 1.9 and encoding/json, without what it does with them.
//
// Listens on a free port of the loopback interface, and prints the address. The token in the environment (TOK) is the one
// that is taken. A POST that binds is answered with the fields as they were read; a view with the name and the query, as
// hexadecimal behind an x and as an encoded query, in headers, so that HEAD says them too.
package main

import (
	"encoding/hex"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"

	"github.com/gin-gonic/gin"
)

type partLimit struct{}

type partSize struct {
	Size int64 `json:"size"`
}

type initiate struct {
	Hash        string `json:"hash"`
	Size        int64  `json:"size"`
	PartSize    int64  `json:"partSize"`
	MaxParts    int32  `json:"maxParts"`
	Cause       string `json:"cause"`
	Name        string `json:"name"`
	ContentType string `json:"contentType"`
}

type authSign struct {
	UploadID    string  `json:"uploadID"`
	PartNumbers []int32 `json:"partNumbers"`
}

type complete struct {
	UploadID    string   `json:"uploadID"`
	Parts       []string `json:"parts"`
	Name        string   `json:"name"`
	ContentType string   `json:"contentType"`
	Cause       string   `json:"cause"`
}

type initiateForm struct {
	Name        string `json:"name"`
	Size        int64  `json:"size"`
	ContentType string `json:"contentType"`
	Group       string `json:"group"`
	Millisecond int64  `json:"millisecond"`
	Absolute    bool   `json:"absolute"`
}

type completeForm struct {
	ID string `json:"id"`
}

type accessURL struct {
	Name  string            `json:"name"`
	Query map[string]string `json:"query"`
}

func fail(c *gin.Context, status, code int, cause string) {
	c.AbortWithStatusJSON(status, gin.H{"errCode": code, "errMsg": "", "errDlt": cause})
}

// Which headers a POST needs, and in what order they are looked at.
func authenticate(c *gin.Context) {
	if c.Request.Method != http.MethodPost {
		return
	}
	if c.Request.Header.Get("operationID") == "" {
		fail(c, 200, 1001, "header must have operationID")
		return
	}
	switch c.Request.Header.Get("token") {
	case "":
		fail(c, 200, 1001, "header must have token")
	case os.Getenv("TOK"):
	default:
		fail(c, 200, 1505, "token")
	}
}

// Answers OPTIONS on any path.
func preflight(c *gin.Context) {
	if c.Request.Method == http.MethodOptions {
		c.AbortWithStatusJSON(200, "Options Request!")
	}
}

func bind[T any](c *gin.Context) {
	var read T
	if err := c.ShouldBindJSON(&read); err != nil {
		fail(c, 400, 1001, err.Error())
		return
	}
	c.JSON(200, gin.H{"errCode": 0, "errMsg": "", "errDlt": "", "data": read})
}

func view(c *gin.Context) {
	name := c.Param("name")
	if name == "" {
		c.String(400, "name is empty")
		return
	}
	if name[0] == '/' {
		name = name[1:]
	}
	query := url.Values{}
	for key, values := range c.Request.URL.Query() {
		query.Set(key, values[0])
	}
	c.Header("X-Name", "x"+hex.EncodeToString([]byte(name)))
	c.Header("X-Query", query.Encode())
	c.Status(302)
}

func main() {
	gin.SetMode(gin.ReleaseMode)
	engine := gin.New()
	engine.Use(preflight)
	objects := engine.Group("/object", authenticate)
	objects.POST("/part_limit", bind[partLimit])
	objects.POST("/part_size", bind[partSize])
	objects.POST("/initiate_multipart_upload", bind[initiate])
	objects.POST("/auth_sign", bind[authSign])
	objects.POST("/complete_multipart_upload", bind[complete])
	objects.POST("/initiate_form_data", bind[initiateForm])
	objects.POST("/complete_form_data", bind[completeForm])
	objects.POST("/access_url", bind[accessURL])
	objects.GET("/*name", view)
	// v3.4.0 has no route for HEAD; this one is as for GET.
	objects.HEAD("/*name", view)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(listener.Addr())
	if err := http.Serve(listener, engine); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

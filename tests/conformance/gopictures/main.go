// Gopictures says which files Go's decoders show, as v3.4.0 links them (png, jpeg, gif, bmp, webp), and TIFF's beside them.
//
// It reads names, one a line, and writes one line of JSON for each: the format, the size, and the mean colours of 4 x 4 fields
// on white, to hold a thumbnail against.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"image"
	_ "image/gif"
	_ "image/jpeg"
	_ "image/png"
	"io"
	"os"

	_ "golang.org/x/image/bmp"
	_ "golang.org/x/image/tiff"
	_ "golang.org/x/image/webp"
)

type answer struct {
	File   string   `json:"file"`
	Format string   `json:"format"`
	Width  int      `json:"width"`
	Height int      `json:"height"`
	Error  string   `json:"error"`
	Fields [][3]int `json:"fields"`
}

func decode(name string) (a answer) {
	a.File = name
	defer func() {
		if r := recover(); r != nil {
			a.Error = fmt.Sprint("panic: ", r)
		}
	}()
	file, err := os.Open(name)
	if err != nil {
		a.Error = err.Error()
		return
	}
	defer file.Close()
	// Go's BMP decoder takes the memory that a header asks for.
	header, _, err := image.DecodeConfig(bufio.NewReader(file))
	if err == nil && header.Width*header.Height > 300_000_000 {
		err = fmt.Errorf("%d x %d pixels", header.Width, header.Height)
	}
	if err == nil {
		_, err = file.Seek(0, io.SeekStart)
	}
	if err != nil {
		a.Error = err.Error()
		return
	}
	picture, format, err := image.Decode(bufio.NewReader(file))
	if err != nil {
		a.Error = err.Error()
		return
	}
	bounds := picture.Bounds()
	a.Format, a.Width, a.Height = format, bounds.Dx(), bounds.Dy()
	if a.Width < 4 || a.Height < 4 {
		return
	}
	for row := 0; row < 4; row++ {
		for column := 0; column < 4; column++ {
			a.Fields = append(a.Fields, mean(picture, column*a.Width/4, row*a.Height/4, (column+1)*a.Width/4, (row+1)*a.Height/4))
		}
	}
	return
}

func mean(picture image.Image, left, top, right, bottom int) (field [3]int) {
	var sum [3]uint64
	start := picture.Bounds().Min
	for y := top; y < bottom; y++ {
		for x := left; x < right; x++ {
			red, green, blue, alpha := picture.At(start.X+x, start.Y+y).RGBA()
			for n, value := range [3]uint32{red, green, blue} {
				sum[n] += uint64(value + 0xffff - alpha)
			}
		}
	}
	for n := range sum {
		field[n] = int(sum[n] / uint64((right-left)*(bottom-top)) >> 8)
	}
	return
}

func main() {
	names := bufio.NewScanner(os.Stdin)
	answers := json.NewEncoder(os.Stdout)
	for names.Scan() {
		if err := answers.Encode(decode(names.Text())); err != nil {
			panic(err)
		}
	}
}

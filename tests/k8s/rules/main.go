// Reads a file of rules as Prometheus itself does; says how many there are, or what it refuses.
package main

import (
	"fmt"
	"os"

	"github.com/prometheus/prometheus/model/rulefmt"
)

func main() {
	read, refused := rulefmt.ParseFile(os.Args[1], false)
	for _, err := range refused {
		fmt.Println(err)
	}
	if len(refused) > 0 {
		os.Exit(1)
	}
	rules := 0
	for _, group := range read.Groups {
		rules += len(group.Rules)
	}
	fmt.Printf("%d rules\n", rules)
}

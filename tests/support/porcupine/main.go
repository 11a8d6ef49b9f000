// Checks a history of tests/support/histories.py with porcupine: go run . FILE
// Prints one JSON object: key -> "Ok", "Illegal" or "Unknown" (no verdict in the time given).
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/anishathalye/porcupine"
)

type row struct {
	Client int      `json:"client"`
	Key    string   `json:"key"`
	Kind   string   `json:"kind"`
	Value  *string  `json:"value"`
	Start  float64  `json:"start"`
	End    *float64 `json:"end"`
}

// The state of a register is its value, "" when absent.
func text(value *string) string {
	if value == nil {
		return ""
	}
	return "=" + *value
}

var register = porcupine.Model{
	Init: func() interface{} { return "" },
	Step: func(state, input, output interface{}) (bool, interface{}) {
		call := input.(row)
		switch call.Kind {
		case "write":
			return true, text(call.Value)
		case "delete":
			return true, ""
		default:
			return text(call.Value) == state.(string), state
		}
	},
}

func check(rows []row) string {
	var operations []porcupine.Operation
	for client, call := range rows {
		if call.End == nil && call.Kind == "read" {
			continue
		}
		// An unknown outcome stays open: it ends after everything else, where a write that nobody saw does no harm.
		end := 1e12
		if call.End != nil {
			end = *call.End
		}
		operations = append(operations, porcupine.Operation{
			ClientId: client, Input: call, Call: int64(call.Start * 1e6), Output: nil, Return: int64(end * 1e6),
		})
	}
	return string(porcupine.CheckOperationsTimeout(register, operations, 20*time.Second))
}

func main() {
	data, err := os.ReadFile(os.Args[1])
	if err != nil {
		panic(err)
	}
	var rows []row
	if err := json.Unmarshal(data, &rows); err != nil {
		panic(err)
	}
	parts := map[string][]row{}
	for _, call := range rows {
		parts[call.Key] = append(parts[call.Key], call)
	}
	verdicts := map[string]string{}
	for key, part := range parts {
		verdicts[key] = check(part)
	}
	text, err := json.Marshal(verdicts)
	if err != nil {
		panic(err)
	}
	fmt.Println(string(text))
}

package tenant

import "strings"

// advised adds to what a provider says of a service what mostly lies behind it.
func advised(message string) string {
	if strings.Contains(message, "connect: connection refused") {
		return message + " (listening on 127.0.0.1 or another port?)"
	}
	return message
}

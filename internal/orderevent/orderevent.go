// Package orderevent reads the event of a new order. There are thousands of them in a block, and the way that is good for
// all events takes more time over one than it takes to decide on the order.
package orderevent

import (
	"math"

	abci "github.com/cometbft/cometbft/abci/types"

	"github.com/cosmos/gogoproto/proto"

	markettypes "berth.dev/berth/x/market/types"
)

// Type is the event's.
var Type = proto.MessageName(&markettypes.EventOrderCreated{})

// Parse reads the order of which an event of this Type tells. It reports false for whatever it does not know, such as a
// field of a later version: then the general way has to read it. The order may hold parts of the event's texts.
func Parse(ev *abci.Event, o *markettypes.Order) bool {
	text := ""
	for i := range ev.Attributes {
		switch a := &ev.Attributes[i]; a.Key {
		case "order":
			text = a.Value
		case "owner", "dseq", "mode", "msg_index": // the order's id says both of the former
		default:
			return false
		}
	}
	if parseWritten(text, o) {
		return true
	}
	*o = markettypes.Order{}
	return parseAny(text, o)
}

// parseWritten reads an order as a node writes it today, field after field without a space. What is written in any other
// way, or holds characters that are written in more than one, it does not know.
func parseWritten(text string, o *markettypes.Order) bool {
	*o = markettypes.Order{}
	c := cursor{text: text, known: true}
	c.order(o)
	return c.known && c.at == len(text)
}

// cursor goes through JSON of which it knows what comes next. Once it was wrong it reads no more.
type cursor struct {
	text  string
	at    int
	known bool
}

// lit passes over what must come next.
func (c *cursor) lit(want string) {
	if end := c.at + len(want); c.known && end <= len(c.text) && c.text[c.at:end] == want {
		c.at = end
		return
	}
	c.known = false
}

// next reports whether a character comes next, and passes over it.
func (c *cursor) next(b byte) bool {
	if c.known && c.at < len(c.text) && c.text[c.at] == b {
		c.at++
		return true
	}
	return false
}

// str reads a string of printable ASCII without escapes.
func (c *cursor) str() string {
	c.lit(`"`)
	if !c.known {
		return ""
	}
	for i := c.at; i < len(c.text); i++ {
		switch b := c.text[i]; {
		case b == '"':
			s := c.text[c.at:i]
			c.at = i + 1
			return s
		case b < ' ' || b > '~' || b == '\\':
			c.known = false
			return ""
		}
	}
	c.known = false
	return ""
}

// num reads a number up to a limit, as it is written shortest.
func (c *cursor) num(limit uint64) uint64 {
	from, n := c.at, uint64(0)
	for ; c.known && c.at < len(c.text); c.at++ {
		d := uint64(c.text[c.at]) - '0'
		if d > 9 {
			break
		}
		if n > (limit-d)/10 {
			c.known = false
			return 0
		}
		n = 10*n + d
	}
	if digits := c.at - from; digits == 0 || digits > 1 && c.text[from] == '0' {
		c.known = false
	}
	return n
}

func (c *cursor) uint32() uint32 { return uint32(c.num(math.MaxUint32)) }

// uint64 and int64 are texts in JSON.
func (c *cursor) uint64() uint64 {
	c.lit(`"`)
	n := c.num(math.MaxUint64)
	c.lit(`"`)
	return n
}

func (c *cursor) int64() int64 {
	c.lit(`"`)
	if c.next('-') {
		n := c.num(1 << 63)
		c.lit(`"`)
		c.known = c.known && n > 0
		return int64(-n)
	}
	n := c.num(math.MaxInt64)
	c.lit(`"`)
	return int64(n)
}

// name reads the name of an enumeration's value.
func (c *cursor) name(values map[string]int32) int32 {
	v, ok := values[c.str()]
	c.known = c.known && ok
	return v
}

// list reads a list, of which each calls item.
func (c *cursor) list(item func()) {
	c.lit("[")
	if c.next(']') {
		return
	}
	for c.known {
		item()
		if c.next(']') {
			return
		}
		c.lit(",")
	}
}

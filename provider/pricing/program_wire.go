package pricing

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// maxLine is the most bytes of an answer.
const maxLine = 16 << 10

// wireVersion counts changes of the lines that an older program could not read.
const wireVersion = 1

// wireQuestion is a question as one line of JSON. Amounts of money are decimals in texts, as they are exact.
type wireQuestion struct {
	V       int         `json:"v"`
	ID      uint64      `json:"id"`
	Order   wireOrder   `json:"order"`
	Owner   wireOwner   `json:"owner"`
	Cluster wireCluster `json:"cluster"`
	Table   string      `json:"table"`
}

type wireOrder struct {
	ID             string            `json:"id"`
	Owner          string            `json:"owner"`
	Denom          string            `json:"denom"`
	Max            string            `json:"max"`
	Instances      uint64            `json:"instances"`
	CPUMilli       uint64            `json:"cpu_milli"`
	MemoryBytes    uint64            `json:"memory_bytes"`
	RAMBytes       uint64            `json:"ram_bytes"`
	EphemeralBytes uint64            `json:"ephemeral_bytes"`
	Storage        map[string]uint64 `json:"storage"`
	GPUs           []wireGPU         `json:"gpus"`
	HTTP           uint64            `json:"http"`
	Ports          uint64            `json:"ports"`
	IPs            uint64            `json:"ips"`
	Attributes     map[string]string `json:"attributes"`
}

type wireGPU struct {
	Count uint64   `json:"count"`
	Any   []string `json:"any"`
}

type wireOwner struct {
	OpenBids int64  `json:"open_bids"`
	Leases   int64  `json:"leases"`
	Exposure string `json:"exposure"`
}

type wireCluster struct {
	Height   int64         `json:"height"`
	Nodes    int64         `json:"nodes"`
	OpenBids int64         `json:"open_bids"`
	Leases   int64         `json:"leases"`
	Capacity wireResources `json:"capacity"`
	Free     wireResources `json:"free"`
}

type wireResources struct {
	CPUMilli       int64 `json:"cpu_milli"`
	MemoryBytes    int64 `json:"memory_bytes"`
	EphemeralBytes int64 `json:"ephemeral_bytes"`
	GPUs           int64 `json:"gpus"`
}

// encodeQuestion makes the line, with its end.
func encodeQuestion(id uint64, q *Question) []byte {
	a, st := &q.Ask, &q.Standing
	w := wireQuestion{
		V: wireVersion, ID: id, Table: q.Table.String(),
		Order: wireOrder{
			ID: q.Order, Owner: a.Owner, Denom: a.Denom, Max: a.Max.String(), Instances: a.Instances, CPUMilli: a.CPUMilli,
			MemoryBytes: a.MemoryBytes, RAMBytes: a.RAMBytes, EphemeralBytes: a.EphemeralBytes, HTTP: a.HTTP, Ports: a.Ports, IPs: a.IPs,
			Storage: make(map[string]uint64, len(a.Volumes)), GPUs: make([]wireGPU, 0, len(a.GPUs)), Attributes: make(map[string]string, len(a.Attributes)),
		},
		Owner: wireOwner{OpenBids: st.OwnerOpenBids, Leases: st.OwnerLeases, Exposure: st.OwnerExposure.String()},
		Cluster: wireCluster{
			Height: st.Height, Nodes: st.Nodes, OpenBids: st.OpenBids, Leases: st.Leases,
			Capacity: wireResources(st.Capacity), Free: wireResources(st.Free),
		},
	}
	for _, v := range a.Volumes {
		w.Order.Storage[v.Class] += v.Bytes
	}
	for _, g := range a.GPUs {
		kinds := []string{"*"}
		if len(g.Any) > 0 {
			kinds = kinds[:0]
		}
		for _, k := range g.Any {
			kinds = append(kinds, k.String())
		}
		w.Order.GPUs = append(w.Order.GPUs, wireGPU{Count: g.Count, Any: kinds})
	}
	for _, attr := range a.Attributes {
		w.Order.Attributes[attr.Key] = attr.Value
	}
	data, err := json.Marshal(&w)
	if err != nil {
		panic("pricing: a question cannot be written: " + err.Error()) // it holds nothing but numbers and texts
	}
	return append(data, '\n')
}

// line is a line that a program wrote, without its end.
type line struct {
	data []byte
	long bool // it had more than maxLine bytes; data is its beginning
	part bool // the program ended before the line did
}

// answer is a line that was understood.
type answer struct {
	id    uint64
	quote Quote
}

// decodeAnswer reads a line. An answer that can be matched with its question but has no usable price is an answer all
// the same: a Refusal.
func decodeAnswer(l line) (answer, error) {
	switch {
	case l.long:
		return answer{}, fmt.Errorf("a line of more than %d bytes: %s", maxLine, show(l.data))
	case l.part:
		return answer{}, fmt.Errorf("a line without an end: %s", show(l.data))
	}
	var w struct {
		ID     *uint64         `json:"id"`
		Price  json.RawMessage `json:"price"`
		Refuse *string         `json:"refuse"`
	}
	if err := json.Unmarshal(l.data, &w); err != nil || w.ID == nil {
		return answer{}, fmt.Errorf("a line that is no JSON object with the id of a question: %s", show(l.data))
	}
	a := answer{id: *w.ID}
	price, err := decodePrice(w.Price)
	switch {
	case len(w.Price) > 0 && w.Refuse != nil:
		a.quote.Refusal = Refusal{Code: ProgramGarbage, Detail: "both a price and a refusal"}
	case w.Refuse != nil:
		a.quote.Refusal = Refusal{Code: ProgramDeclined, Detail: plain(*w.Refuse, 200)}
	case err != nil:
		a.quote.Refusal = Refusal{Code: ProgramGarbage, Detail: err.Error()}
	default:
		a.quote.Price = price
	}
	return a, nil
}

// decodePrice reads a decimal, in a text or as a number.
func decodePrice(raw json.RawMessage) (Amount, error) {
	if len(raw) == 0 || bytes.Equal(raw, []byte("null")) {
		return Amount{}, errors.New("neither a price nor a refusal")
	}
	text := string(raw)
	if raw[0] == '"' {
		if err := json.Unmarshal(raw, &text); err != nil {
			return Amount{}, fmt.Errorf("the price %s is no text", show(raw))
		}
	}
	a, err := ParseAmount(text)
	if err != nil {
		return Amount{}, fmt.Errorf("the price %s is not one: a decimal such as \"12.5\" was expected", show(raw))
	}
	return a, nil
}

// show is the beginning of what a program wrote, for people.
func show(b []byte) string {
	const most = 80
	if len(b) > most {
		return plain(string(b[:most]), most) + "..."
	}
	return plain(string(b), most)
}

package rewrite

import (
	"cmp"
	"container/heap"
	"slices"

	"go.yaml.in/yaml/v3"
)

// form says in which order the keys of a mapping stand, and what forms lie below.
type form struct {
	// keys are in their order. Others follow after them, in the order of the document.
	keys []string
	// kids are the forms of the keys' values.
	kids map[string]*form
	// each is the form of the values of a list, or of a mapping from names, which keep the order of the document.
	each *form
}

func keys(names ...string) *form { return &form{keys: names} }

// with says what form the value of a key has.
func (f *form) with(key string, kid *form) *form {
	kids := map[string]*form{key: kid}
	for k, v := range f.kids {
		kids[k] = v
	}
	return &form{keys: f.keys, kids: kids, each: f.each}
}

func each(f *form) *form { return &form{each: f} }

// below is the form of an entry's value.
func (f *form) below(e *entry) *form {
	switch {
	case f == nil:
		return nil
	case f.each != nil:
		return f.each
	}
	return f.kids[e.name]
}

// topKeys are the sections of a document.
var topKeys = []string{"version", "include", "services", "profiles", "endpoints", "reclamation", "deployment"}

var (
	deploymentForm = each(each(keys("profile", "count")))

	// envForm is a variable of which more is said than its value.
	envForm = keys("name", "value", "file", "secret")

	form10 = keys(topKeys...).
		with("services", each(keys("image", "depends-on", "args", "env-file", "env_file", "env", "expose").
			with("env", each(envForm)).
			with("expose", each(keys("port", "as", "proto", "accept", "to").with("to", each(keys("service", "global"))))))).
		with("profiles", keys("compute", "placement").
			with("compute", each(keys("cpu", "memory", "storage", "disk"))).
			with("placement", each(keys("attributes", "pricing")))).
		with("deployment", deploymentForm)

	httpForm = keys("max_body_size", "read_timeout", "send_timeout", "next_tries", "next_timeout", "next_cases", "proxy_buffer_size", "h2c")

	volumeForm = keys("name", "size", "attributes").with("attributes", keys("persistent", "class"))

	resourcesForm = keys("cpu", "memory", "storage", "gpu").
			with("cpu", keys("units", "attributes")).
			with("storage", &form{keys: volumeForm.keys, kids: volumeForm.kids}).
			with("gpu", keys("units", "attributes").
				with("attributes", keys("vendor").with("vendor", each(each(keys("model", "ram", "interface"))))))

	form20 = keys(topKeys...).
		with("services", each(keys("image", "credentials", "command", "args", "dependencies", "env-file", "env_file", "env", "expose", "params").
			with("env", each(envForm)).
			with("credentials", keys("host", "email", "username", "password")).
			with("expose", each(keys("port", "as", "proto", "accept", "to", "http_options").
				with("to", each(keys("service", "global", "ip", "http_options").with("http_options", httpForm))).
				with("http_options", httpForm))).
			with("params", keys("storage", "permissions", "tee").with("storage", each(keys("mount", "readOnly")))))).
		with("profiles", keys("compute", "placement").
			with("compute", each(keys("resources").with("resources", resourcesForm))).
			with("placement", each(keys("attributes", "signedBy", "pricing").
				with("signedBy", keys("allOf", "anyOf")).
				with("pricing", each(keys("denom", "amount")))))).
		with("deployment", deploymentForm)
)

// sort puts the keys of a value and all below it into their order.
func (v *value) sort(f *form, anchored bool) {
	if f == nil || v.shape == leaf || v.flow && len(v.rest) > 0 {
		return
	}
	for _, e := range v.entries {
		if v.shape == list && len(f.keys) > 0 {
			e.value.sort(f, anchored) // one or a list of them
			continue
		}
		e.value.sort(f.below(e), anchored)
	}
	if v.shape == mapping && len(f.keys) > 0 {
		v.order(f.keys, anchored)
	}
}

// ranks tell where the entries of a mapping belong: merges, known keys, others. It reports false if they may stay.
func (v *value) ranks(known []string) (rank []int, move bool) {
	rank = make([]int, len(v.entries))
	empty, strange := false, false
	for i, e := range v.entries {
		rank[i] = slices.Index(known, e.name) + 1
		switch {
		case e.merges():
			rank[i] = 0
		case rank[i] == 0:
			rank[i], strange = len(known)+1, true
		default:
			empty = empty || e.value.empty()
		}
	}
	// What stands beside an empty key was probably meant to stand below it. Moved away, nobody could tell.
	return rank, !slices.IsSorted(rank) && !(empty && strange)
}

// order sorts the entries of a mapping.
func (v *value) order(known []string, anchored bool) {
	rank, move := v.ranks(known)
	if !move {
		return
	}
	old, moved := v.entries, v.ordered(rank, anchored)
	// The empty line before what comes first now goes to what was first.
	if moved[0] != old[0] && !old[0].apart() && moved[0].apart() {
		moved[0].setApart(false)
		old[0].setApart(true)
	}
	v.entries = moved
}

// ordered are the entries by their ranks, as far as their anchors allow.
func (v *value) ordered(rank []int, anchored bool) []*entry {
	q := &queue{rank: rank}
	after, wait := make([][]int, len(rank)), make([]int, len(rank))
	if anchored {
		after, wait = v.dependencies()
	}
	for i := range rank {
		if wait[i] == 0 {
			heap.Push(q, i)
		}
	}
	out := make([]*entry, 0, len(rank))
	for q.Len() > 0 {
		i := heap.Pop(q).(int)
		out = append(out, v.entries[i])
		for _, j := range after[i] {
			if wait[j]--; wait[j] == 0 {
				heap.Push(q, j)
			}
		}
	}
	return out
}

// apart tells whether an empty line stands before an entry and what is said of it.
func (e *entry) apart() bool {
	if len(e.lead) > 0 {
		return e.lead[0].blank
	}
	return e.blank
}

func (e *entry) setApart(apart bool) {
	if len(e.lead) > 0 {
		e.lead[0].blank = apart
		return
	}
	e.blank = apart
}

// dependencies tells which entries must stay before which others, for anchors to stand before their aliases and an
// alias to mean the same anchor: after[i] are those that must follow i, wait[j] counts what must precede j.
func (v *value) dependencies() (after [][]int, wait []int) {
	after, wait = make([][]int, len(v.entries)), make([]int, len(v.entries))
	defined, users := map[string]int{}, map[string][]int{}
	edge := func(i, j int) {
		if i != j {
			after[i] = append(after[i], j)
			wait[j]++
		}
	}
	var visit func(n *yaml.Node, j int, below bool)
	visit = func(n *yaml.Node, j int, below bool) {
		if n.Kind == yaml.AliasNode {
			if i, ok := defined[n.Value]; ok {
				edge(i, j)
			}
			users[n.Value] = append(users[n.Value], j)
		}
		if n.Anchor != "" {
			if i, ok := defined[n.Anchor]; ok {
				edge(i, j)
			}
			for _, i := range users[n.Anchor] {
				edge(i, j)
			}
			defined[n.Anchor], users[n.Anchor] = j, nil
		}
		for i := 0; below && i < len(n.Content); i++ {
			visit(n.Content[i], j, true)
		}
	}
	var within func(e *entry, j int)
	within = func(e *entry, j int) {
		if e.key != "" && e.node != nil {
			visit(e.node, j, true)
		}
		if n := e.value.node; n != nil {
			visit(n, j, e.value.shape == leaf)
		}
		for _, kid := range e.value.entries {
			within(kid, j)
		}
	}
	for j, e := range v.entries {
		within(e, j)
	}
	return after, wait
}

// queue holds entries that may come next, the first by rank and place on top.
type queue struct {
	rank  []int
	items []int
}

func (q *queue) Len() int { return len(q.items) }
func (q *queue) Less(i, j int) bool {
	a, b := q.items[i], q.items[j]
	return cmp.Or(cmp.Compare(q.rank[a], q.rank[b]), cmp.Compare(a, b)) < 0
}
func (q *queue) Swap(i, j int) { q.items[i], q.items[j] = q.items[j], q.items[i] }
func (q *queue) Push(x any)    { q.items = append(q.items, x.(int)) }
func (q *queue) Pop() any {
	x := q.items[len(q.items)-1]
	q.items = q.items[:len(q.items)-1]
	return x
}

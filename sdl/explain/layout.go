package explain

import (
	"cmp"
	"slices"
	"strings"
)

// The drawing is laid out in columns: whoever connects stands to the left of what he connects to. Placements are bands
// over all columns, one below the other. Between two columns lie a channel, in which lines bend, and right of it room for
// the labels of the ports of the next column, in which they only run level. A line that passes a column has a lane there,
// which it shares with the others from the same client; one that leads back runs below the boxes of its band. So lines
// cross each other, but neither boxes nor labels. All numbers are whole, so that every machine draws the same.

// The sizes of the drawing, in pixels.
const (
	margin      = 24
	boxWidth    = 240
	boxRoom     = boxWidth - 2*boxTop
	boxGap      = 24
	boxTop      = 12 // from a box's edge to its text
	nameHeight  = 18
	lineHeight  = 16
	doorHeight  = 30
	laneHeight  = 4
	channel     = 48
	bandTop     = 52 // a band's title
	bandPadding = 18
	bandGap     = 20
	anyoneWidth = 84
	backStep    = 9 // between lines that lead back
	backLanes   = 5 // side by side right of a column
	leftLanes   = 3 // and left of one
)

// manyBoxes is from when on links between placements do not order the columns: chains of them would make the drawing
// endless.
const manyBoxes = 60

// tallBand is how many boxes a band may have before it is made wider instead of taller, and shortColumn how many boxes a
// column of it has then.
const (
	tallBand    = 8
	shortColumn = 6
)

type drawing struct {
	bands   []*band
	boxes   []*box
	edges   []*edge
	columns []column // columns[0] holds anyone
	width   int
	height  int
	// anyoneY is the middle of the node for anyone; negative without one.
	anyoneY int
}

// column is where the boxes of a column begin, and how much room is left of them.
type column struct {
	x, width, channel, labels int
	// backs counts boxes from which lines bend back in the channel right of the column, lefts entries to which they do
	// left of it.
	backs, lefts int
}

type band struct {
	place  *Placement
	y, h   int
	items  [][]*item // by column
	boxes  []*box
	backs  map[*box]int // the lanes below the boxes, by the box that they come from
	bottom int          // of the boxes, from the band's first box
}

// item is what takes room in a column of a band: a box, or a lane.
type item struct {
	box *box
	// from and link tell lanes apart; a nil from is anyone.
	from   *box
	link   bool
	y, h   int // from the band's first box
	wanted int
	place  int // in the order before, which decides between equals
}

func (i *item) middle() int { return i.y + i.h/2 }

// box is a service in a placement.
type box struct {
	id      int
	band    *band
	service *Service
	lines   []string
	doors   []*entry
	column  int
	back    int // which of the verticals right of its column its lines that lead back use
	item    *item
	in, out []*edge
}

func (x *box) x(d *drawing) int { return d.columns[x.column].x }
func (x *box) y() int           { return x.band.first() + x.item.y }

// first is where the boxes of a band begin.
func (b *band) first() int { return b.y + bandTop }

// entry is one or more ports of a box with the same clients.
type entry struct {
	box    *box
	ports  []string
	label  string
	offset int // from the top of the box
	public bool
	links  int // clients over links
	locals int // other clients
	back   int // which of the verticals left of its column, from 1, the lines use that lead back to it
}

func (t *entry) y() int { return t.box.y() + t.offset }

// edge is a client of an entry.
type edge struct {
	from *box // nil for anyone
	to   *entry
	link bool
	back bool
}

// layout places everything.
func (e *Explanation) layout() *drawing {
	d := &drawing{anyoneY: -1}
	d.read(e)
	d.rank()
	d.lanes()
	d.arrange()
	d.place()
	return d
}

// read makes boxes, entries and edges of an explanation.
func (d *drawing) read(e *Explanation) {
	at := map[[2]string]*box{}
	for i := range e.Placements {
		p := &e.Placements[i]
		b := &band{place: p, backs: map[*box]int{}}
		d.bands = append(d.bands, b)
		for j := range p.Services {
			x := &box{id: len(d.boxes), band: b, service: &p.Services[j]}
			b.boxes = append(b.boxes, x)
			d.boxes = append(d.boxes, x)
			at[[2]string{p.Name, x.service.Name}] = x
		}
	}
	hosts := map[*box][]string{}
	audience := map[*entry][]Client{}
	for _, door := range e.Doors {
		x := at[[2]string{door.Group, door.Service}]
		hosts[x] = append(hosts[x], door.Hosts...)
		port := portText(door.Proto, door.Port)
		same := func(t *entry) bool { return t.public == door.Public && slices.Equal(audience[t], door.Clients) }
		if i := slices.IndexFunc(x.doors, same); i >= 0 {
			x.doors[i].ports = append(x.doors[i].ports, port)
			continue
		}
		t := &entry{box: x, ports: []string{port}, public: door.Public}
		audience[t] = door.Clients
		x.doors = append(x.doors, t)
		if door.Public {
			d.edge(nil, t, false)
		}
		for _, c := range door.Clients {
			d.edge(at[[2]string{c.Group, c.Service}], t, c.Link)
		}
	}
	for _, x := range d.boxes {
		x.measure(slices.Compact(slices.Sorted(slices.Values(hosts[x]))), len(e.StartOrder) > 1)
	}
}

func (d *drawing) edge(from *box, to *entry, link bool) {
	x := &edge{from: from, to: to, link: link}
	d.edges = append(d.edges, x)
	to.box.in = append(to.box.in, x)
	if from != nil {
		from.out = append(from.out, x)
	}
	switch {
	case link:
		to.links++
	case from != nil:
		to.locals++
	}
}

// measure sets a box's texts and its height.
func (x *box) measure(hosts []string, steps bool) {
	x.lines = boxLines(x.service, hosts, steps)
	h := 2*boxTop + nameHeight + lineHeight*len(x.lines)
	for i, t := range x.doors {
		t.label = entryLabel(t)
		t.offset = boxTop + nameHeight - 4 + i*doorHeight
		h = max(h, t.offset+boxTop)
	}
	x.item = &item{box: x, h: h}
}

// maxLabelPorts is how many ports a label names.
const maxLabelPorts = 3

func entryLabel(t *entry) string {
	ports := t.ports
	more := ""
	if len(ports) > maxLabelPorts {
		more = " +" + itoa(len(ports)-maxLabelPorts)
		ports = ports[:maxLabelPorts]
	}
	text := strings.Join(ports, ", ") + more
	if t.public || t.links+t.locals > 0 {
		return text
	}
	return text + ": nobody"
}

// rank gives each box its column: right of all its clients, as far as they do not depend on it in turn, and anyone is
// left of all. Columns of a band with many boxes are kept short.
func (d *drawing) rank() {
	d.breakCircles()
	deepest := make([]int, len(d.boxes))
	var depth func(x *box) int
	depth = func(x *box) int {
		if deepest[x.id] == 0 {
			n := 1
			for _, t := range x.in {
				if d.onward(t) {
					n = max(n, depth(t.from)+1)
				}
			}
			deepest[x.id] = n
		}
		return deepest[x.id]
	}
	order := slices.Clone(d.boxes)
	slices.SortFunc(order, func(a, b *box) int { return cmp.Or(cmp.Compare(depth(a), depth(b)), cmp.Compare(a.id, b.id)) })
	filled := map[*band]map[int]int{}
	last := 1
	for _, x := range order {
		most := len(x.band.boxes)
		if most > tallBand {
			most = shortColumn
		}
		if filled[x.band] == nil {
			filled[x.band] = map[int]int{}
		}
		x.column = 1
		for _, t := range x.in {
			if d.onward(t) {
				x.column = max(x.column, t.from.column+1)
			}
		}
		for filled[x.band][x.column] >= most {
			x.column++
		}
		filled[x.band][x.column]++
		last = max(last, x.column)
	}
	d.columns = make([]column, last+1)
	for _, t := range d.edges {
		t.back = t.from != nil && t.to.box.column <= t.from.column
	}
}

// onward tells whether an edge's target must stand right of its client.
func (d *drawing) onward(t *edge) bool { return t.from != nil && !t.back && d.orders(t) }

func (d *drawing) orders(t *edge) bool { return !t.link || len(d.boxes) < manyBoxes }

// breakCircles marks edges that lead back: from a box to itself, or to one on the way to it.
func (d *drawing) breakCircles() {
	const (
		unseen = iota
		open
		done
	)
	state := make([]int, len(d.boxes))
	var visit func(x *box)
	visit = func(x *box) {
		state[x.id] = open
		for _, t := range x.out {
			switch to := t.to.box; {
			case !d.orders(t):
			case state[to.id] == open:
				t.back = true
			case state[to.id] == unseen:
				visit(to)
			}
		}
		state[x.id] = done
	}
	// Those that only connect, then those that anyone connects to come first, so that what leads away from them leads
	// onward.
	starts := slices.Clone(d.boxes)
	class := func(x *box) int {
		switch {
		case len(x.in) == 0:
			return 0
		case slices.ContainsFunc(x.in, func(t *edge) bool { return t.from == nil }):
			return 1
		}
		return 2
	}
	slices.SortStableFunc(starts, func(a, b *box) int { return cmp.Compare(class(a), class(b)) })
	for _, x := range starts {
		if state[x.id] == unseen {
			visit(x)
		}
	}
}

// lanes fills the columns of the bands with boxes, and with lanes for the lines that pass.
func (d *drawing) lanes() {
	for _, b := range d.bands {
		b.items = make([][]*item, len(d.columns))
	}
	for _, t := range d.edges {
		if t.back {
			b := t.to.box.band
			if _, ok := b.backs[t.from]; !ok {
				b.backs[t.from] = len(b.backs)
			}
			if c := &d.columns[t.to.box.column]; t.to.back == 0 {
				c.lefts++
				t.to.back = 1 + (c.lefts-1)%leftLanes
			}
			continue
		}
		for c := t.start() + 1; c < t.to.box.column; c++ {
			if t.to.box.band.lane(c, t.from, t.link) == nil {
				b := t.to.box.band
				b.items[c] = append(b.items[c], &item{from: t.from, link: t.link, h: laneHeight})
			}
		}
	}
	for _, x := range d.boxes {
		x.band.items[x.column] = append(x.band.items[x.column], x.item)
		if slices.ContainsFunc(x.out, func(t *edge) bool { return t.back }) {
			x.back = d.columns[x.column].backs
			d.columns[x.column].backs++
		}
	}
}

// start is the column that an edge comes from.
func (t *edge) start() int {
	if t.from == nil {
		return 0
	}
	return t.from.column
}

func (b *band) lane(c int, from *box, link bool) *item {
	for _, i := range b.items[c] {
		if i.box == nil && i.from == from && i.link == link {
			return i
		}
	}
	return nil
}

// arrange finds heights within the bands: three times over all columns, each box is drawn to where its lines are level.
func (d *drawing) arrange() {
	for _, b := range d.bands {
		for _, items := range b.items {
			slices.SortStableFunc(items, func(x, y *item) int { return cmp.Compare(x.rank(), y.rank()) })
			stack(items)
		}
		for sweep := range 3 {
			for c := 1; c < len(b.items); c++ {
				if sweep == 1 {
					b.settle(len(b.items)-c, false)
				} else {
					b.settle(c, true)
				}
			}
		}
		for _, items := range b.items {
			for _, i := range items {
				b.bottom = max(b.bottom, i.y+i.h)
			}
		}
	}
}

// rank puts the lanes of anyone on top.
func (i *item) rank() int {
	switch {
	case i.box == nil && i.from == nil:
		return 0
	case i.box == nil:
		return 1 + i.from.id
	default:
		return 1 + i.box.id
	}
}

func stack(items []*item) {
	y := 0
	for _, i := range items {
		i.y = y
		y += i.h + i.gap()
	}
}

func (i *item) gap() int {
	if i.box == nil {
		return 12
	}
	return boxGap
}

// settle moves the items of a column as near as they fit to where they want to be.
func (b *band) settle(c int, fromLeft bool) {
	items := b.items[c]
	for n, i := range items {
		i.place, i.wanted = n, b.want(i, c, fromLeft)
	}
	slices.SortFunc(items, func(x, y *item) int {
		if free := func(i *item) bool { return i.box == nil && i.from == nil }; free(x) != free(y) {
			if free(x) {
				return -1
			}
			return 1
		}
		return cmp.Or(cmp.Compare(x.wanted+x.h/2, y.wanted+y.h/2), cmp.Compare(x.place, y.place))
	})
	fit(items)
}

// fit gives each item the place that is nearest to what it wants, with all in order and apart: neighbours that push each
// other become a block, which lies at the mean of what its items want.
func fit(items []*item) {
	type block struct{ sum, n, first int }
	var blocks []block
	offset := make([]int, len(items))
	for n, i := range items {
		if n > 0 {
			offset[n] = offset[n-1] + items[n-1].h + items[n-1].gap()
		}
		blocks = append(blocks, block{i.wanted - offset[n], 1, n})
		for len(blocks) > 1 {
			a, z := blocks[len(blocks)-2], blocks[len(blocks)-1]
			if a.sum*z.n <= z.sum*a.n {
				break
			}
			blocks = append(blocks[:len(blocks)-2], block{a.sum + z.sum, a.n + z.n, a.first})
		}
	}
	for n, k := range blocks {
		end := len(items)
		if n+1 < len(blocks) {
			end = blocks[n+1].first
		}
		for i := k.first; i < end; i++ {
			items[i].y = max(0, k.sum/k.n) + offset[i]
		}
	}
}

// want is the height at which the lines of an item to one side are level, or the present one where it has none.
func (b *band) want(i *item, c int, fromLeft bool) int {
	var sum, n int
	add := func(y int) { sum, n = sum+y, n+1 }
	switch {
	case i.box == nil && i.from == nil:
		return 0
	case i.box == nil && fromLeft:
		if at := b.source(i.from, c-1, i.link); at != nil {
			return at.middle() - i.h/2
		}
	case i.box == nil:
		b.eachTarget(i.from, i.link, c, add)
	case fromLeft:
		for _, t := range i.box.in {
			if t.from == nil || t.back {
				continue
			}
			if at := b.source(t.from, c-1, t.link); at != nil {
				add(at.middle() - t.to.offset)
			}
		}
	default:
		for _, link := range []bool{false, true} {
			b.eachTarget(i.box, link, c, func(y int) { add(y - i.h/2) })
		}
	}
	if n == 0 {
		return i.y
	}
	return sum / n
}

// source is where a client's lines are in a column of this band: its box or its lane; nil if it has neither.
func (b *band) source(from *box, c int, link bool) *item {
	if from.column == c && from.band == b {
		return from.item
	}
	if c < 1 {
		return nil
	}
	return b.lane(c, from, link)
}

// eachTarget calls f with the heights of the entries, and of the lane, that a client's lines lead to right of a column.
func (b *band) eachTarget(from *box, link bool, c int, f func(y int)) {
	passes := false
	for _, t := range from.out {
		switch {
		case t.back || t.link != link || t.to.box.band != b:
		case t.to.box.column == c+1:
			f(t.to.box.item.y + t.to.offset)
		case t.to.box.column > c+1:
			passes = true
		}
	}
	if passes {
		if lane := b.lane(c+1, from, link); lane != nil {
			f(lane.middle())
		}
	}
}

// place finds where columns and bands are on the page.
func (d *drawing) place() {
	open := slices.ContainsFunc(d.edges, func(t *edge) bool { return t.from == nil })
	if open {
		d.columns[0].width = anyoneWidth
	}
	for _, x := range d.boxes {
		for _, t := range x.doors {
			c := &d.columns[x.column]
			c.labels = max(c.labels, t.width())
		}
	}
	at := margin
	for n := range d.columns {
		c := &d.columns[n]
		if n > 0 {
			c.width, c.channel = boxWidth, d.channel(n, open)
			at += c.channel + c.labels
		}
		c.x = at
		at += c.width
	}
	y := margin
	for _, b := range d.bands {
		b.y = y
		b.h = bandTop + b.bottom + bandPadding
		if n := len(b.backs); n > 0 {
			b.h += n*backStep + bandPadding/2
		}
		y += b.h + bandGap
	}
	last := d.columns[len(d.columns)-1]
	d.width = max(480, last.x+last.width+bandPadding+d.backsRight()+margin)
	for _, b := range d.bands {
		d.width = max(d.width, d.left()+bandPadding+headWide(b.place)+bandPadding+d.backsRight()+margin)
	}
	d.height = y + legendHeight
	if open {
		d.anyoneY = d.middle()
	}
}

// backsRight is the room for lines that lead back from the last column.
func (d *drawing) backsRight() int {
	backs := d.columns[len(d.columns)-1].backs
	if backs == 0 {
		return 0
	}
	return backStep * (min(backs, backLanes) + 1)
}

// channel is the room for bends left of the labels of a column.
func (d *drawing) channel(n int, open bool) int {
	if n == 1 && !open {
		return bandPadding + d.backRoom(1)
	}
	w := channel + d.backRoom(n)
	if n == 1 { // the lines of anyone bend before they enter a band
		return w + bandPadding + 6*min(len(d.bands), 10)
	}
	if backs := d.columns[n-1].backs; backs > 0 {
		w += backStep * min(backs, backLanes)
	}
	return w
}

// left is where the bands begin.
func (d *drawing) left() int {
	return d.columns[1].x - d.columns[1].labels - d.backRoom(1) - bandPadding
}

// backRoom is what lines that lead back to a column take of its channel.
func (d *drawing) backRoom(n int) int {
	for _, t := range d.edges {
		if t.back && t.to.box.column == n {
			return (leftLanes + 1) * backStep
		}
	}
	return 0
}

// middle is the mean height of what anyone may connect to.
func (d *drawing) middle() int {
	sum, n := 0, 0
	for _, t := range d.edges {
		if t.from == nil {
			sum, n = sum+t.to.y(), n+1
		}
	}
	return max(sum/n, margin+anyoneWidth/2)
}

package expression

import (
	"slices"
	"strings"
)

// Dialect says which roots, paths and methods an expression may use. The grammar is the same in all.
type Dialect uint8

const (
	// Okta is what Okta's documentation of event hook filters shows, and nothing else: its table of fields,
	// selections on event.target, contains(), size() and isEmpty().
	Okta Dialect = iota
	// Gateway reads any field of a LogEvent under event, selects on any list and has the string methods of
	// Okta's general Expression Language. Every Okta expression is one of Gateway and means the same.
	Gateway
	// Inline reads the request of an inline hook under data, with the methods of Gateway.
	Inline
)

func (d Dialect) String() string { return d.table().name }

func (d Dialect) table() *table {
	return [...]*table{&oktaTable, &gatewayTable, &inlineTable}[d]
}

// table is a dialect as data. What a dialect can say is added here and nowhere else.
type table struct {
	name string
	root string
	// at is where the root lies in a document; the document itself if empty.
	at    []string
	shape *shape
	// places says where a path (without its root) lies in a document when that is not the path itself. The
	// first place that holds neither null nor an empty list is read.
	places  map[string][][]string
	methods []method
	// closed tables know everything: a field they do not name is an error, whole objects cannot be read, and
	// the grammar's optional parts (fractions, projections) are refused. An open table warns.
	closed bool
	// narrower is the dialect whose refusals become warnings.
	narrower *table
}

// shape is what is known of a value before any document is read.
type shape struct {
	kind    kind
	fields  map[string]*shape // of an object
	open    bool              // the object may have any other field too
	element *shape            // of a list
}

var (
	anything = &shape{kind: kindAny}
	text     = &shape{kind: kindText}
	numeric  = &shape{kind: kindNumber}
	truth    = &shape{kind: kindBool}
	openMap  = &shape{kind: kindObject, open: true}
)

func object(fields map[string]*shape) *shape { return &shape{kind: kindObject, fields: fields} }

func listOf(element *shape) *shape { return &shape{kind: kindList, element: element} }

// Okta calls the map debugContext.debugData of the LogEvent event.debugData in its filters.
var debugDataPlace = [][]string{{"debugContext", "debugData"}}

var oktaTable = table{
	name: "okta",
	root: "event",
	shape: object(map[string]*shape{
		"eventType": text,
		"outcome":   object(map[string]*shape{"result": text, "reason": text}),
		"actor":     object(entityFields),
		"debugData": object(map[string]*shape{"changedAttributes": text}),
		"target":    listOf(object(entityFields)),
	}),
	places:  map[string][][]string{"debugData": debugDataPlace},
	methods: slices.Concat(oktaMethods),
	closed:  true,
}

var entityFields = map[string]*shape{"id": text, "type": text, "alternateId": text, "displayName": text}

var gatewayTable = table{
	name:  "gateway",
	root:  "event",
	shape: logEvent,
	places: map[string][][]string{
		"debugData": debugDataPlace,
		// Event hooks carry the chain in client, the System Log in request; an event may have come either way.
		"client.ipChain":  {{"client", "ipChain"}, {"request", "ipChain"}},
		"request.ipChain": {{"request", "ipChain"}, {"client", "ipChain"}},
	},
	methods:  slices.Concat(oktaMethods, generalMethods),
	narrower: &oktaTable,
}

var inlineTable = table{
	name:    "inline",
	root:    "data",
	at:      []string{"data"},
	shape:   openMap,
	methods: slices.Concat(oktaMethods, generalMethods),
}

// nicknamed answers what the dialect calls a field that documents call name; "" if it calls none otherwise.
func (t *table) nicknamed(name string) string {
	for nickname, ways := range t.places {
		if slices.Contains(ways[0], name) {
			return nickname
		}
	}
	return ""
}

// methodsNamed answers the methods called name, one for each kind of receiver.
func (t *table) methodsNamed(name string) []*method {
	var found []*method
	for i := range t.methods {
		if t.methods[i].name == name {
			found = append(found, &t.methods[i])
		}
	}
	return found
}

// methodsOn lists the names of the methods on a kind of receiver, as a message has them.
func (t *table) methodsOn(on kind) string {
	var names []string
	for _, m := range t.methods {
		if (on == kindAny || m.on == on) && !slices.Contains(names, m.name+"()") {
			names = append(names, m.name+"()")
		}
	}
	return join(names)
}

// readable lists the paths to all scalars and lists of a shape, as a message has them.
func (s *shape) readable(prefix string) []string {
	if s.kind != kindObject {
		return []string{prefix}
	}
	var paths []string
	for name, field := range s.fields {
		paths = append(paths, field.readable(prefix+"."+name)...)
	}
	slices.Sort(paths)
	return paths
}

// join makes "a, b and c".
func join(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	end := len(words) - 1
	return strings.Join(words[:end], ", ") + " and " + words[end]
}

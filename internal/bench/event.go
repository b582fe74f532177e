package bench

import (
	"bytes"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"
)

// variants is how many different events a load is made of. Identical ones would
// flatter a store that compresses.
const variants = 512

//go:embed event.json
var eventTemplate string

// Placeholders of what differs in every single event; each is overwritten in
// place by something of the same length.
const (
	uuidSlot      = "00000000-0000-1000-8000-000000000000"
	publishedSlot = "0000-00-00T00:00:00.000Z"
	eventTimeSlot = "0000-00-00T00:00:00.001Z"
	eventIDSlot   = "11111111-1111-4111-8111-111111111111"
	requestSlot   = "rrrrrrrrrrrrrrrrrrrrrrrrrrr"

	timeLayout = "2006-01-02T15:04:05.000Z"
)

// eventTypes are the types in the load, all eligible for event hooks; each with
// Okta's message.
var eventTypes = [][2]string{
	{"user.session.start", "User login to Okta"},
	{"user.session.end", "User logout from Okta"},
	{"user.authentication.sso", "User single sign on to app"},
	{"user.authentication.auth_via_mfa", "Authentication of user via MFA"},
	{"user.lifecycle.create", "Create Okta user"},
	{"user.lifecycle.activate", "Activate Okta user"},
	{"user.lifecycle.deactivate", "Deactivate Okta user"},
	{"user.account.update_profile", "Update user profile for Okta"},
	{"user.account.update_password", "User update password for Okta"},
	{"group.user_membership.add", "Add user to group membership"},
	{"group.user_membership.remove", "Remove user from group membership"},
	{"application.user_membership.add", "Add user to application membership"},
}

var (
	agents = [][3]string{
		{"Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0", "Linux", "FIREFOX"},
		{"Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0", "Windows 10", "FIREFOX"},
		{"Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:139.0) Gecko/20100101 Firefox/139.0", "Mac OS X", "FIREFOX"},
	}
	places = [][2]string{
		{"Bergen", "Norway"}, {"Lyon", "France"}, {"Osaka", "Japan"}, {"Austin", "United States"},
		{"Leeds", "United Kingdom"}, {"Porto", "Portugal"}, {"Graz", "Austria"}, {"Perth", "Australia"},
	}
	givenNames  = []string{"Ingrid", "Omar", "Lena", "Mateo", "Aiko", "Noor", "Priya", "Tomas", "Wanjiru", "Elif", "Sven", "Ana"}
	familyNames = []string{"Fischer", "Reyes", "Tanaka", "Haddad", "Okafor", "Novak", "Iyer", "Lindqvist", "Demir", "Costa", "Moreau", "Kelly"}
)

// request is one variant of the load: an HTTP/1.1 request whose body is Okta's
// delivery envelope with one event, and where in it the slots lie.
type request struct {
	bytes                               []byte
	body                                int // where the body begins
	uuid, published, eventTime, eventID int
	transactionID, requestID            int
}

// target says where a load is sent and what authenticates it.
type target struct {
	address string // host:port
	path    string
	secret  string // of the Authorization header; empty for none
}

// newRequests builds the load's variants. orgHost names the Okta org in the
// envelope's source.
func newRequests(to target, orgHost string, random *rand.Rand) ([]request, error) {
	requests := make([]request, variants)
	for i := range requests {
		body, err := variant(orgHost, eventTypes[i%len(eventTypes)], random)
		if err != nil {
			return nil, err
		}
		if requests[i], err = newRequest(to, body); err != nil {
			return nil, err
		}
	}
	return requests, nil
}

func variant(orgHost string, eventType [2]string, random *rand.Rand) ([]byte, error) {
	agent := agents[random.IntN(len(agents))]
	place := places[random.IntN(len(places))]
	actor, target := person(random), person(random)
	hash := make([]byte, 32)
	for i := range hash {
		hash[i] = byte(random.Uint32())
	}
	filled := strings.NewReplacer(
		"{host}", orgHost,
		"{type}", eventType[0], "{message}", eventType[1],
		"{agent}", agent[0], "{os}", agent[1], "{browser}", agent[2],
		"{ip}", fmt.Sprintf("203.0.113.%d", random.IntN(256)),
		"{city}", place[0], "{country}", place[1],
		"{actorId}", actor[0], "{actorLogin}", actor[1], "{actorName}", actor[2],
		"{targetId}", target[0], "{targetLogin}", target[1], "{targetName}", target[2],
		"{deviceHash}", hex.EncodeToString(hash),
		"{session}", "trs"+text(random, 22),
	).Replace(eventTemplate)
	var compact bytes.Buffer
	if err := json.Compact(&compact, []byte(filled)); err != nil {
		return nil, fmt.Errorf("the event template is not JSON: %w", err)
	}
	return compact.Bytes(), nil
}

// person is an Okta user: id, login, name.
func person(random *rand.Rand) [3]string {
	given, family := givenNames[random.IntN(len(givenNames))], familyNames[random.IntN(len(familyNames))]
	return [3]string{
		"00u" + text(random, 14) + "1d7",
		strings.ToLower(given+"."+family) + "@acme.example",
		given + " " + family,
	}
}

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

// text is n random letters and digits, as in Okta's ids.
func text(random *rand.Rand, n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = alphabet[random.IntN(62)]
	}
	return string(b)
}

func newRequest(to target, body []byte) (request, error) {
	head := "POST " + to.path + " HTTP/1.1\r\nHost: " + to.address +
		"\r\nContent-Type: application/json\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n"
	if to.secret != "" {
		head += "Authorization: " + to.secret + "\r\n"
	}
	head += "\r\n"
	r := request{bytes: append([]byte(head), body...), body: len(head)}
	find := func(slot string, from int) (int, error) {
		i := bytes.Index(r.bytes[from:], []byte(slot))
		if i < 0 {
			return 0, fmt.Errorf("the event template lacks %q", slot)
		}
		return from + i, nil
	}
	for _, slot := range []struct {
		at   *int
		text string
	}{
		{&r.uuid, uuidSlot}, {&r.published, publishedSlot}, {&r.eventTime, eventTimeSlot},
		{&r.eventID, eventIDSlot}, {&r.transactionID, requestSlot},
	} {
		i, err := find(slot.text, r.body)
		if err != nil {
			return request{}, err
		}
		*slot.at = i
	}
	var err error
	r.requestID, err = find(requestSlot, r.transactionID+len(requestSlot))
	return r, err
}

// stamp writes r as the event index, sent now, into buffer, and returns it.
func (r *request) stamp(buffer []byte, id eventID, index int64, now time.Time, random *rand.Rand) []byte {
	buffer = append(buffer[:0], r.bytes...)
	id.put(buffer[r.uuid:], index, now)
	var scratch [2 * len(timeLayout)]byte
	at := now.UTC().AppendFormat(scratch[:0], timeLayout)
	copy(buffer[r.published:], at)
	copy(buffer[r.eventTime:], at)

	// 27 characters of 6 bits each, as Okta's request ids; then 16 random bytes
	// as a version 4 UUID (RFC 9562 §5.4).
	request := buffer[r.transactionID : r.transactionID+len(requestSlot)]
	for i := 0; i < len(request); {
		for bits, n := random.Uint64(), 0; n < 10 && i < len(request); n++ {
			request[i] = alphabet[bits&63]
			bits >>= 6
			i++
		}
	}
	copy(buffer[r.requestID:], request)
	var raw [16]byte
	for i := range 2 {
		bits := random.Uint64()
		for j := range 8 {
			raw[8*i+j] = byte(bits >> (8 * j))
		}
	}
	raw[6], raw[8] = raw[6]&0x0f|0x40, raw[8]&0x3f|0x80
	putUUID(buffer[r.eventID:], raw)
	return buffer
}

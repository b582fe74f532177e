package traffic

import (
	"fmt"
	"strconv"
	"strings"
)

// An org is everything that stays the same from one story to the next.
type org struct {
	size   int // how many people it wants
	people []*person
	admins []*person
	names  map[string]int // how often a login has been given
	groups []principal
	apps   []app
	// drawer holds apps nobody signs in to, so that switching them off is safe.
	drawer   []app
	policies []principal
	idps     []principal
}

type person struct {
	id, login, name string
	admin, busy     bool
	desk            *client // where they work from
	device          principal
	session         string // externalSessionId while signed in
	groups, apps    []int  // indexes into the org's lists
	factors         []principal
	phone           string
}

// A principal is an actor or a target: somebody or something with a type.
type principal struct{ id, kind, alternateID, displayName string }

func (p *person) user() principal { return principal{p.id, "User", p.login, p.name} }

type app struct {
	instance principal
	mode     string // signOnMode
}

var (
	system    = principal{"SystemPrincipal", "SystemPrincipal", "system@okta.example", "Okta System"}
	dashboard = principal{"0oa1h6uc9EjPzv8Qt1d7", "AppInstance", "Okta Dashboard", "Okta Dashboard"}
)

var (
	firstNames = strings.Fields(`Amara Anneli Bao Beatriz Bogdan Carmen Chidi Dagny Davi Elif Emeka Farida
		Femi Greta Hamid Hana Ingrid Ivo Jaana Joao Kaja Kenji Lena Liam Lucia Magnus Maya Mei Mina Nadia
		Nils Noor Olga Omar Paula Pavel Quentin Rafael Rosa Sanna Siobhan Tariq Teresa Ugo Vera Wanjiru Yusuf Zofia`)
	lastNames = strings.Fields(`Abara Aalto Berg Brandt Castro Chen Dahl Delgado Eriksen Fischer Fontana Garcia
		Haddad Hansen Ibrahim Ito Jansen Kaya Keller Kowalska Lindqvist Lopez Mbeki Meyer Moreau Nakamura Novak
		Obi Okafor Olsen Papadakis Petrov Quispe Rahman Reyes Rossi Sato Schmidt Silva Tanaka Tran Ulrich
		Vargas Virtanen Wagner Weber Yilmaz Zhang`)
	groupNames = []string{"Sales", "Engineering", "Finance", "Support", "Marketing", "Legal", "Contractors", "Everyone in Bergen", "On call", "Payroll", "Field service", "Board"}
	appNames   = []string{"Acme Expenses", "Acme Wiki", "Code Forge", "Ticket Desk", "Travel Planner", "Pay Slip", "Whiteboard", "Video Rooms", "Parts Catalogue", "Learning Hub"}
	oldApps    = []string{"Legacy CRM", "Parking Permits", "Fax Gateway", "Old Intranet"}
	policyList = []string{"Default Policy", "Contractor sign-on", "Finance apps", "Password rules", "Enrollment"}
	idpList    = []string{"Partner login", "Northwind SAML", "Staff social login"}
	methods    = [][2]string{{"Okta Verify", "okta_verify"}, {"Phone", "phone_number"}, {"Security Key or Biometric", "webauthn"}, {"Google Authenticator", "google_otp"}, {"Email", "okta_email"}}
	attributes = []string{"department", "manager", "title", "costCenter", "mobilePhone", "city", "managerId", "division", "nickName"}
)

func (g *Generator) newOrg(size int) org {
	o := org{size: size, names: map[string]int{}}
	for _, name := range groupNames {
		o.groups = append(o.groups, principal{g.id("00g"), "UserGroup", "unknown", name})
	}
	newApp := func(name string) app {
		return app{
			instance: principal{g.id("0oa"), "AppInstance", name, name},
			mode:     pick(g.random, []string{"SAML_2_0", "OPENID_CONNECT", "BOOKMARK", "SECURE_PASSWORD_STORE"}),
		}
	}
	for _, name := range appNames {
		o.apps = append(o.apps, newApp(name))
	}
	for _, name := range oldApps {
		o.drawer = append(o.drawer, newApp(name))
	}
	for _, name := range policyList {
		o.policies = append(o.policies, principal{g.id("00p"), "PolicyEntity", "unknown", name})
	}
	for _, name := range idpList {
		o.idps = append(o.idps, principal{g.id("0oa"), "IdentityProvider", "unknown", name})
	}
	admins := size/20 + 3
	for i := range size {
		p := g.newPerson(&o)
		if i < admins {
			p.admin = true
			o.admins = append(o.admins, p)
		} else {
			o.people = append(o.people, p)
		}
	}
	return o
}

// newPerson makes somebody with a name of their own; they are not on the staff
// yet.
func (g *Generator) newPerson(o *org) *person {
	first, last := pick(g.random, firstNames), pick(g.random, lastNames)
	login := strings.ToLower(first + "." + last)
	o.names[login]++
	if n := o.names[login]; n > 1 {
		login += strconv.Itoa(n)
	}
	p := &person{id: g.id("00u"), login: login + "@acme.example", name: first + " " + last}
	p.desk = g.newClient(pick(g.random, browsers))
	p.phone = fmt.Sprintf("55501%02d%03d", g.random.IntN(100), g.random.IntN(1000))
	p.device = principal{g.id("guo"), "Device", "unknown", first + "'s " + p.desk.browser.model}
	for i, m := range methods {
		if i == 0 || g.random.IntN(3) == 0 {
			p.factors = append(p.factors, principal{g.id("pfd"), "AuthenticatorEnrollment", m[1], m[0]})
		}
	}
	for i := range o.groups {
		if g.random.IntN(4) == 0 {
			p.groups = append(p.groups, i)
		}
	}
	for i := range o.apps {
		if i < 2 || g.random.IntN(2) == 0 {
			p.apps = append(p.apps, i)
		}
	}
	return p
}

// A client is the browser, network and place of a request, and its JSON, which
// is the larger part of an event.
type client struct {
	browser      browser
	full, sparse string // the client object, nulls written and left out
	security     string // the securityContext object
	hash         string // dtHash; empty: none
	ip           string
	plain        *client // the same, known by its address only, for Sized
}

var places = []struct {
	city, state, country, postal string
	lat, lon                     string
	prefix                       string // of a documentation network
	isp                          string
	as                           int
}{
	{"Bergen", "Vestland", "Norway", "5003", "60.3943", "5.3259", "203.0.113.", "fjord networks", 64500},
	{"Lyon", "Auvergne-Rhône-Alpes", "France", "69002", "45.7578", "4.832", "198.51.100.", "rhone telecom", 64501},
	{"Toronto", "Ontario", "Canada", "M5H", "43.6532", "-79.3832", "192.0.2.", "lakeside cable", 64502},
	{"Nagoya", "Aichi", "Japan", "460-0008", "35.1709", "136.8815", "2001:db8:51::", "chubu fiber", 64503},
	{"Curitiba", "Parana", "Brazil", "80010", "-25.4296", "-49.2713", "2001:db8:7a::", "pinheiro net", 64504},
}

// A browser is a device and what it says of itself.
type browser struct{ model, raw, os, name, device string }

var browsers = []browser{
	{"Laptop", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0", "Linux", "FIREFOX", "Computer"},
	{"Workstation", "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:128.0) Gecko/20100101 Firefox/128.0", "Windows 10", "FIREFOX", "Computer"},
	{"Notebook", "Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:128.0) Gecko/20100101 Firefox/128.0", "Mac OS X", "FIREFOX", "Computer"},
	{"Phone", "Mozilla/5.0 (Android 14; Mobile; rv:128.0) Gecko/128.0 Firefox/128.0", "Android", "FIREFOX", "Mobile"},
}

func (g *Generator) newClient(b browser) *client {
	place := pick(g.random, places)
	ip, version := place.prefix+strconv.Itoa(1+g.random.IntN(254)), "V4"
	if strings.Contains(ip, ":") {
		ip, version = place.prefix+strconv.FormatInt(1+g.random.Int64N(0xfffe), 16), "V6"
	}
	zone := "null" // Okta writes the word where there is no zone
	if g.random.IntN(3) == 0 {
		zone = "Offices"
	}
	geo := fmt.Sprintf(`{"city":"%s","state":"%s","country":"%s","postalCode":"%s","geolocation":{"lat":%s,"lon":%s}}`,
		place.city, place.state, place.country, place.postal, place.lat, place.lon)
	object := func(id, source string) string {
		return fmt.Sprintf(`{"userAgent":{"rawUserAgent":"%s","os":"%s","browser":"%s"},"zone":"%s","device":"%s",%s"ipAddress":"%s","geographicalContext":%s,`+
			`"ipChain":[{"ip":"%s","geographicalContext":%s,"version":"%s"%s}]}`,
			b.raw, b.os, b.name, zone, b.device, id, ip, geo, ip, geo, version, source)
	}
	return &client{
		plain: &client{
			sparse:   fmt.Sprintf(`{"device":"%s","ipAddress":"%s","ipChain":[{"ip":"%s","version":"%s"}]}`, b.device, ip, ip, version),
			security: `{"isProxy":false}`,
		},
		browser:  b,
		full:     object(`"id":null,`, `,"source":null`),
		sparse:   object("", ""),
		security: fmt.Sprintf(`{"asNumber":%d,"asOrg":"%s","isp":"%s","domain":"example.net","isProxy":false}`, place.as, place.isp, place.isp),
		hash:     g.hash(),
		ip:       ip,
	}
}

// hash returns what a dtHash looks like.
func (g *Generator) hash() string {
	return fmt.Sprintf("%016x%016x%016x%016x", g.random.Uint64(), g.random.Uint64(), g.random.Uint64(), g.random.Uint64())
}

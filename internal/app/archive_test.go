package app

import "testing"

func TestStoreName(t *testing.T) {
	for name, want := range map[string]string{
		"sqlite:a:b@c.db":                            "sqlite:a:b@c.db",
		"postgres://db/grapnel":                      "postgres://db/grapnel",
		"postgres://grapnel@db:5432/grapnel":         "postgres://grapnel@db:5432/grapnel",
		"postgres://grapnel:p:w@d@db/grapnel?a=b@c":  "postgres://grapnel:PASSWORD@db/grapnel?a=b@c",
		"postgresql://u:pw@a:1,b:2/g?sslmode=verify": "postgresql://u:PASSWORD@a:1,b:2/g?sslmode=verify",
		"postgres://u@a/g?password=p&user=u":         "postgres://u@a/g?password=PASSWORD&user=u",
		"postgres://u:pw@a/g?b=c&password=p":         "postgres://u:PASSWORD@a/g?b=c&password=PASSWORD",
	} {
		if got := StoreName(name); got != want {
			t.Errorf("%s is shown as %s, want %s", name, got, want)
		}
	}
}

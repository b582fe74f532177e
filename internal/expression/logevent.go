package expression

// logEvent is the shape of a LogEvent as Okta documents it (System Log API; the pages on event hooks for what
// they carry besides). Okta adds fields and values without notice, so Gateway only warns of what it says.
var logEvent = object(map[string]*shape{
	"uuid":               text,
	"published":          text,
	"eventType":          text,
	"version":            text,
	"severity":           text,
	"legacyEventType":    text,
	"displayMessage":     text,
	"insertionTimestamp": anything,
	"actor":              object(entityAnd(nil)),
	"target":             listOf(object(entityAnd(map[string]*shape{"changeDetails": object(map[string]*shape{"from": openMap, "to": openMap})}))),
	"client": object(map[string]*shape{
		"id":                  text,
		"zone":                text,
		"device":              text,
		"ipAddress":           text,
		"userAgent":           object(map[string]*shape{"rawUserAgent": text, "os": text, "browser": text}),
		"geographicalContext": geographicalContext,
		"ipChain":             ipChain,
	}),
	"request": object(map[string]*shape{"ipChain": ipChain}),
	"outcome": object(map[string]*shape{"result": text, "reason": text}),
	"transaction": object(map[string]*shape{
		"id": text, "type": text, "detail": openMap,
	}),
	"debugContext": object(map[string]*shape{"debugData": openMap}),
	"debugData":    openMap,
	"authenticationContext": object(map[string]*shape{
		"authenticationProvider": text,
		"credentialProvider":     text,
		"credentialType":         text,
		"issuer":                 object(map[string]*shape{"id": text, "type": text}),
		"authenticationStep":     numeric,
		"externalSessionId":      text,
		"rootSessionId":          text,
		"interface":              text,
	}),
	"securityContext": object(map[string]*shape{
		"asNumber":  numeric,
		"asOrg":     text,
		"isp":       text,
		"domain":    text,
		"isProxy":   truth,
		"ipDetails": ipDetails,
		"risk": object(map[string]*shape{
			"level": text, "previousLevel": text, "detectionName": text, "issuer": text, "reasons": listOf(anything),
		}),
		"userBehaviors": listOf(object(map[string]*shape{"id": text, "name": text, "result": text})),
		"botProtection": object(map[string]*shape{"level": text}),
	}),
	"device": object(map[string]*shape{
		"id":                      text,
		"name":                    text,
		"os_platform":             text,
		"os_version":              text,
		"managed":                 truth,
		"registered":              truth,
		"device_integrator":       openMap,
		"disk_encryption_type":    text,
		"screen_lock_type":        text,
		"jailbreak":               truth,
		"secure_hardware_present": truth,
	}),
})

var ipChain = listOf(object(map[string]*shape{
	"ip": text, "version": text, "source": text, "geographicalContext": geographicalContext, "ipDetails": ipDetails,
}))

var geographicalContext = object(map[string]*shape{
	"city":        text,
	"state":       text,
	"country":     text,
	"postalCode":  text,
	"geolocation": object(map[string]*shape{"lat": numeric, "lon": numeric}),
})

var ipDetails = object(map[string]*shape{
	"asNumber": numeric,
	"asOrg":    text,
	"isp":      text,
	"domain":   text,
	"ipServiceCategories": listOf(object(map[string]*shape{
		"type": text, "operator": text, "isAnonymous": truth,
	})),
})

// entityAnd is what actors and targets have in common, and more.
func entityAnd(more map[string]*shape) map[string]*shape {
	fields := map[string]*shape{"detailEntry": openMap}
	for _, from := range []map[string]*shape{entityFields, more} {
		for name, s := range from {
			fields[name] = s
		}
	}
	return fields
}

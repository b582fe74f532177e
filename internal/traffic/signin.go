package traffic

import (
	"strconv"
	"strings"
)

// An operation is one request or job and the events it causes, which share its
// transaction.
type operation struct {
	s    *story
	base step
}

// web is a request that somebody makes from their desk.
func (s *story) web(p *person, uri string) *operation {
	return &operation{s, step{
		actor: p.user(), client: p.desk, kind: "WEB", result: "SUCCESS",
		session: p.session, transaction: s.g.text(27), uri: uri,
	}}
}

// job is work of Okta's own, with no request behind it, in the sparse form.
func (s *story) job() *operation {
	return &operation{s, step{actor: system, kind: "JOB", result: "SUCCESS", sparse: true, transaction: s.g.id("eru")}}
}

func (o *operation) add(eventType string, targets ...principal) *step {
	st := o.base
	st.eventType = eventType
	for _, t := range targets {
		st.targets = append(st.targets, target{principal: t})
	}
	o.s.steps = append(o.s.steps, &st)
	return &st
}

// dayAtWork is what most people do most of the time.
func dayAtWork(s *story) bool {
	p := s.find(s.chance(6))
	if p == nil {
		return false
	}
	if p.session == "" {
		s.signIn(p)
		s.openApps(p, 1+s.g.random.IntN(3))
		return true
	}
	switch n := s.g.random.IntN(100); {
	case n < 76:
		s.openApps(p, 1+s.g.random.IntN(4))
	case n < 94:
		s.signOut(p)
	case n < 97:
		s.moveNetwork(p)
	default:
		s.web(p, "/oauth2/default/v1/authorize").add("app.oauth2.as.consent.grant", s.app(p).instance).
			note("grantedScopes", "openid, profile")
	}
	return true
}

// signIn gives p a session, sometimes after a slip of the fingers. Events of a
// failed attempt have no session.
func (s *story) signIn(p *person) {
	if s.chance(12) {
		s.wrongPassword(p, 1+s.g.random.IntN(2))
	}
	op := s.web(p, "/idp/idx/identify")
	op.base.session = "trs" + s.g.text(22)
	p.session = op.base.session
	request := "unknown"
	start := op.add("user.session.start", dashboard)
	start.note("authnRequestId", op.base.transaction).note("behaviors", s.behaviors()).note("origin", "https://"+s.g.quoted.org)
	switch n := s.g.random.IntN(100); {
	case n < 6:
		idp := pick(s.g.random, s.g.org.idps)
		op.add("user.authentication.auth_via_IDP", idp, p.user()).note("idpDisplayName", idp.displayName).idp = "FEDERATION"
		request = "federated"
	case n < 9:
		idp := s.g.org.idps[len(s.g.org.idps)-1]
		op.add("user.authentication.auth_via_social", idp, p.user()).idp = "SOCIAL"
	case n < 65:
		s.challenge(op, p)
	}
	start.note("loginResult", request)
}

// challenge asks p for a second factor.
func (s *story) challenge(op *operation, p *person) {
	factor := pick(s.g.random, p.factors)
	switch factor.alternateID {
	case "phone_number":
		message := "system.sms.send_phone_verification_message"
		if s.chance(15) {
			message = "system.voice.send_phone_verification_call"
		}
		op.add(message, p.user()).note("phoneNumber", p.phone).note("countryCallingCode", "1")
	case "okta_email":
		op.add("system.email.delivery", p.user()).note("category", "mfa")
	}
	if s.chance(4) {
		op.add("user.authentication.auth_via_mfa", p.user(), factor).fail("FACTOR_REJECTED").idp = "FACTOR_PROVIDER"
	}
	answer := op.add("user.authentication.auth_via_mfa", p.user(), factor).note("factor", strings.ToUpper(factor.alternateID))
	answer.idp, answer.credential = "FACTOR_PROVIDER", "OTP"
	if factor.alternateID == "okta_verify" {
		answer.device = s.deviceJSON(p)
	}
}

func (s *story) deviceJSON(p *person) string {
	return `{"id":"` + p.device.id + `","name":"` + p.device.displayName + `","os_platform":"` + strings.ToUpper(p.desk.browser.os) +
		`","os_version":"14.0","managed":` + strconv.FormatBool(s.chance(70)) + `,"registered":true,"device_integrator":null,` +
		`"disk_encryption_type":"ALL_INTERNAL_VOLUMES","screen_lock_type":"BIOMETRIC","jailbreak":null,"secure_hardware_present":true}`
}

func (s *story) behaviors() string {
	if s.chance(15) {
		return "{New Geo-Location=NEGATIVE, New Device=POSITIVE, New IP=POSITIVE}"
	}
	return "{New Geo-Location=NEGATIVE, New Device=NEGATIVE, New IP=NEGATIVE}"
}

func (s *story) wrongPassword(p *person, times int) {
	for range times {
		op := s.web(p, "/idp/idx/challenge/answer")
		op.base.session = ""
		op.add("user.session.start", dashboard).fail("INVALID_CREDENTIALS").
			note("authnRequestId", op.base.transaction).note("behaviors", s.behaviors())
	}
}

func (s *story) app(p *person) app { return s.g.org.apps[pick(s.g.random, p.apps)] }

// openApps is single sign-on to some of p's apps.
func (s *story) openApps(p *person, times int) {
	for range times {
		a := s.app(p)
		op := s.web(p, "/app/"+a.instance.id+"/sso")
		op.base.credential = "OKTA_CLIENT_SESSION"
		st := op.add("user.authentication.sso", a.instance, appUser(p, a.instance))
		st.targets[0].detail = `{"signOnModeType":"` + a.mode + `"}`
		st.note("signOnMode", a.mode).note("initiationType", "IDP_INITIATED")
		if s.chance(2) {
			st.fail("ACCESS_DENIED")
			deny := op.add("application.policy.sign_on.deny_access", a.instance, p.user())
			deny.result, deny.reason = "DENY", "A sign-on policy rule denies access"
		}
	}
}

// appUser is p's account at an app, the same whenever it is mentioned.
func appUser(p *person, instance principal) principal {
	return principal{"0ua" + p.id[3:11] + instance.id[3:12], "AppUser", p.login, p.name}
}

func (s *story) signOut(p *person) {
	s.web(p, "/login/signout").add("user.session.end", p.user()).note("terminationReason", "USER_INITIATED")
	p.session = ""
}

// moveNetwork changes the surroundings of a session, which may cost it.
func (s *story) moveNetwork(p *person) {
	op := s.web(p, "/idp/idx/poll")
	before := p.desk.ip
	p.desk = s.g.newClient(p.desk.browser)
	op.base.client = p.desk
	op.add("user.session.context.change", p.user()).
		note("previousIpAddress", before).note("newIpAddress", p.desk.ip).note("causes", "IP_CHANGE")
	if s.chance(40) {
		risk := s.job()
		risk.base.sparse = false
		risk.add("user.risk.detect", p.user()).note("risk", "{level=MEDIUM, reasons=Anomalous Location}")
		risk.add("user.risk.change", p.user()).note("risk", "{level=MEDIUM, previousLevel=LOW}")
		if s.chance(50) {
			op.add("policy.auth_reevaluate.fail", p.user(), s.g.org.policies[0]).fail("Policy requirements are no longer met")
			risk.add("user.session.clear", p.user())
			p.session = ""
		}
	}
}

// lockout is somebody who has forgotten the password, and how it ends.
func lockout(s *story) bool {
	p, admin := s.find(false), s.find(true)
	if p == nil || admin == nil {
		return false
	}
	s.wrongPassword(p, 4+s.g.random.IntN(3))
	op := s.web(p, "/idp/idx/challenge/answer")
	op.base.session = ""
	op.add("user.account.lock", p.user()).fail("LOCKED_OUT")
	switch n := s.g.random.IntN(3); n {
	case 0:
		self := s.web(p, "/idp/idx/unlock-account")
		self.base.session = ""
		self.add("system.email.delivery", p.user()).note("category", "account_unlock")
		self.add("user.account.unlock", p.user()).note("isSelfInitiated", "true")
	case 1:
		s.desk(admin, "/api/v1/users/"+p.id+"/lifecycle/unlock").add("user.account.unlock_by_admin", p.user())
	default:
		help := s.desk(admin, "/api/v1/users/"+p.id+"/lifecycle/reset_password")
		help.add("user.account.reset_password", p.user()).note("isSelfInitiated", "false").note("userStatus", "RECOVERY")
		help.add("system.email.delivery", p.user()).note("category", "password_reset")
		fresh := s.web(p, "/idp/idx/challenge/answer")
		fresh.base.session = ""
		fresh.add("user.account.update_password", p.user())
	}
	return true
}

// newFactor is somebody tending to their authenticators.
func newFactor(s *story) bool {
	p := s.find(false)
	if p == nil {
		return false
	}
	if p.session == "" {
		s.signIn(p)
		return true
	}
	m := pick(s.g.random, methods)
	factor := principal{s.g.id("pfd"), "AuthenticatorEnrollment", m[1], m[0]}
	op := s.web(p, "/idp/idx/credential/enroll")
	if m[1] == "phone_number" {
		op.add("system.sms.send_phone_verification_message", p.user()).note("phoneNumber", p.phone).note("countryCallingCode", "1")
	}
	op.add("user.mfa.factor.activate", p.user(), factor).note("factor", strings.ToUpper(m[1]))
	if len(p.factors) > 2 {
		old := p.factors[0]
		p.factors = p.factors[1:]
		s.web(p, "/api/v1/users/"+p.id+"/factors/"+old.id).add("user.mfa.factor.deactivate", p.user(), old)
	}
	p.factors = append(p.factors, factor)
	if s.chance(30) {
		s.web(p, "/api/v1/users/"+p.id+"/factors/"+factor.id).add("user.mfa.factor.update", p.user(), factor)
	}
	return true
}

// newDevice is somebody setting up a device for Okta Verify.
func newDevice(s *story) bool {
	p := s.find(false)
	if p == nil {
		return false
	}
	if p.session == "" {
		s.signIn(p)
		return true
	}
	p.device.id = s.g.id("guo")
	op := s.web(p, "/idp/authenticators")
	op.add("device.enrollment.create", p.device, p.user())
	op.add("device.lifecycle.activate", p.device)
	op.add("device.user.add", p.device, p.user())
	for _, st := range op.s.steps[len(op.s.steps)-3:] {
		st.device = s.deviceJSON(p)
	}
	return true
}

// alarm is something wrong with somebody's account.
func alarm(s *story) bool {
	p, admin := s.find(false), s.find(true)
	if p == nil || admin == nil || p.session == "" {
		return false
	}
	if s.chance(50) {
		s.web(p, "/api/v1/users/me/suspicious").add("user.account.report_suspicious_activity_by_enduser", p.user()).
			note("suspiciousActivityEventType", "system.email.new_device_notification.sent_message").note("suspiciousActivityEventIp", "192.0.2.66")
	} else {
		check := s.job()
		check.add("security.breached_credential.detected", p.user())
		check.add("user.risk.change", p.user()).note("risk", "{level=HIGH, previousLevel=LOW}")
	}
	op := s.desk(admin, "/api/v1/users/"+p.id+"/sessions")
	op.add("user.session.clear", p.user())
	op.add("user.authentication.universal_logout", p.user(), s.app(p).instance)
	p.session = ""
	s.desk(admin, "/api/v1/users/"+p.id+"/lifecycle/reset_factors").add("user.mfa.factor.reset_all", p.user())
	s.desk(admin, "/api/v1/users/"+p.id+"/behaviors/reset").add("user.behavior.profile.reset", p.user())
	return true
}

package traffic

import "strconv"

// change is an administrator about to alter a setting; nil if none is free.
func (s *story) change(uri string) *operation {
	admin := s.find(true)
	if admin == nil {
		return nil
	}
	return s.desk(admin, uri)
}

// newGroup is a group made for a project, and at times ended with it. A group
// is known to this story only, so that nobody else is put into it once it is
// gone.
func newGroup(s *story) bool {
	admin, p := s.subject()
	if p == nil {
		return false
	}
	group := principal{s.g.id("00g"), "UserGroup", "unknown", "Project " + strconv.Itoa(1+s.g.random.IntN(900))}
	s.desk(admin, "/api/v1/groups").add("group.lifecycle.create", group)
	s.desk(admin, "/api/v1/groups/"+group.id+"/users/"+p.id).add("group.user_membership.add", p.user(), group)
	s.desk(admin, "/api/v1/groups/"+group.id).add("group.profile.update", group).note("changedAttributes", "description")
	s.desk(admin, "/api/v1/groups/"+group.id+"/users/"+p.id).add("group.user_membership.remove", p.user(), group)
	s.desk(admin, "/api/v1/groups/"+group.id).add("group.lifecycle.delete", group)
	return true
}

// groupApp gives an app to a group, and with it to its members, in a job.
func groupApp(s *story) bool {
	admin, p := s.subject()
	if p == nil {
		return false
	}
	group, a := pick(s.g.random, s.g.org.groups), pick(s.g.random, s.g.org.drawer)
	uri := "/api/v1/apps/" + a.instance.id + "/groups/" + group.id
	s.desk(admin, uri).add("group.application_assignment.add", group, a.instance)
	op := s.job()
	op.add("application.user_membership.add", appUser(p, a.instance), a.instance, p.user())
	if s.chance(50) {
		s.desk(admin, uri).add("group.application_assignment.update", group, a.instance)
	}
	s.desk(admin, uri).add("group.application_assignment.remove", group, a.instance)
	s.job().add("application.user_membership.remove", appUser(p, a.instance), a.instance, p.user())
	return true
}

// appSettings works on an app that nobody uses.
func appSettings(s *story) bool {
	a := pick(s.g.random, s.g.org.drawer).instance
	op := s.change("/api/v1/apps/" + a.id)
	if op == nil {
		return false
	}
	switch s.g.random.IntN(3) {
	case 0:
		op.add("application.lifecycle.update", a).targets[0].change = `{"from":{"label":"` + a.displayName + `"},"to":{"label":"` + a.displayName + ` (new)"}}`
	case 1:
		op.add("application.lifecycle.deactivate", a)
		op.add("application.lifecycle.activate", a)
	default:
		a = principal{s.g.id("0oa"), "AppInstance", "Trial app", "Trial app"}
		op.add("application.lifecycle.create", a)
		op.add("application.lifecycle.deactivate", a)
		op.add("application.lifecycle.delete", a)
	}
	return true
}

// policyChange edits sign-on rules.
func policyChange(s *story) bool {
	policy := pick(s.g.random, s.g.org.policies)
	op := s.change("/api/v1/policies/" + policy.id)
	if op == nil {
		return false
	}
	const kind = `{"policyType":"OktaSignOn"}`
	rule := principal{s.g.id("0pr"), "PolicyRule", "unknown", "Rule " + strconv.Itoa(1+s.g.random.IntN(20))}
	switch s.g.random.IntN(4) {
	case 0:
		op.add("policy.lifecycle.update", policy).targets[0] = target{policy, kind, `{"from":{"priority":"2"},"to":{"priority":"1"}}`}
	case 1:
		op.add("policy.lifecycle.deactivate", policy).targets[0].detail = kind
		op.add("policy.lifecycle.activate", policy).targets[0].detail = kind
	case 2:
		op.add("policy.rule.add", rule, policy).note("newPolicyRuleName", rule.displayName).targets[1].detail = kind
		op.add("policy.rule.update", rule, policy).note("newPolicyRulePriority", "1").targets[1].detail = kind
	default:
		op.add("policy.rule.deactivate", rule, policy).targets[1].detail = kind
		op.add("policy.rule.delete", rule, policy).targets[1].detail = kind
	}
	return true
}

// orgSettings is one of the rarer changes to the org itself.
func orgSettings(s *story) bool {
	admin := s.find(true)
	if admin == nil {
		return false
	}
	switch s.g.random.IntN(6) {
	case 0:
		token := principal{s.g.id("00T"), "Token", "unknown", "reporting job"}
		s.desk(admin, "/api/internal/tokens").add("system.api_token.create", token, admin.user())
		s.desk(admin, "/api/v1/api-tokens/"+token.id).add("system.api_token.revoke", token, admin.user())
	case 1:
		origin := principal{s.g.id("tos"), "TrustedOrigin", "unknown", "https://portal.acme.example"}
		s.desk(admin, "/api/v1/trustedOrigins").add("security.trusted_origin.create", origin)
		s.desk(admin, "/api/v1/trustedOrigins/"+origin.id).add("security.trusted_origin.update", origin)
		s.desk(admin, "/api/v1/trustedOrigins/"+origin.id).add("security.trusted_origin.delete", origin)
	case 2:
		idp := pick(s.g.random, s.g.org.idps)
		s.desk(admin, "/api/v1/idps/"+idp.id).add("system.idp.lifecycle.update", idp).note("idpName", idp.displayName).
			targets[0].change = `{"from":{"name":"` + idp.displayName + `"},"to":{"name":"` + idp.displayName + ` 2"}}`
		s.desk(admin, "/api/v1/idps/credentials/keys").add("system.idp.key.create", idp)
	case 3:
		stream := principal{s.g.id("0ls"), "LogStream", "unknown", "Audit stream"}
		s.desk(admin, "/api/v1/logStreams").add("system.log_stream.lifecycle.create", stream)
		s.desk(admin, "/api/v1/logStreams/"+stream.id+"/lifecycle/activate").add("system.log_stream.lifecycle.activate", stream)
	case 4:
		role := principal{s.g.id("cr0"), "CUSTOM_ROLE", "unknown", "Badge desk"}
		set := principal{s.g.id("iam"), "RESOURCE_SET", "unknown", "Badge holders"}
		s.desk(admin, "/api/v1/iam/roles").add("iam.role.create", role)
		s.desk(admin, "/api/v1/iam/resource-sets").add("iam.resourceset.create", set)
		s.desk(admin, "/api/v1/iam/resource-sets/"+set.id+"/bindings").add("iam.resourceset.bindings.add", set, role, admin.user())
	default:
		authenticator := principal{s.g.id("aut"), "Authenticator", "okta_verify", "Okta Verify"}
		s.desk(admin, "/api/v1/authenticators/"+authenticator.id).add("security.authenticator.lifecycle.update", authenticator).note("authenticatorKey", "okta_verify")
	}
	return true
}

// directoryImport is the nightly job, here at any time of day.
func directoryImport(s *story) bool {
	p := s.find(false)
	if p == nil {
		return false
	}
	directory := principal{"0oa7d1r3ct0ryImp0r1d7", "AppInstance", "acme.example", "Active Directory"}
	op := s.job()
	op.add("system.import.start", directory).note("importType", "INCREMENTAL").note("importTrigger", "SCHEDULED")
	if s.chance(40) {
		op.add("system.import.group.create", directory, principal{s.g.id("00g"), "UserGroup", "unknown", "Imported " + strconv.Itoa(s.g.random.IntN(90))})
	}
	i := s.g.random.IntN(len(s.g.org.groups))
	if _, member := without(p.groups, i); !member {
		p.groups = append(p.groups, i)
		op.add("group.user_membership.add", p.user(), s.g.org.groups[i])
	}
	op.add("application.provision.user.import_profile", appUser(p, directory), directory, p.user())
	if s.chance(8) {
		op.add("system.import.roadblock", directory).fail("Too many app unassignments").note("threshold", "20")
		return true
	}
	op.add("system.import.complete", directory).note("totalObjects", strconv.Itoa(len(s.g.org.people))).note("updatedObjects", "1")
	return true
}

// rateLimit is an integration calling too often.
func rateLimit(s *story) bool {
	op := s.job()
	op.base.sparse = false
	bucket := principal{"/api/v1/users", "Bucket", "unknown", "/api/v1/users"}
	op.add("system.org.rate_limit.warning", bucket).note("threshold", "600").note("warningPercent", "90")
	if s.chance(30) {
		op.add("system.org.rate_limit.violation", bucket).note("threshold", "600").result = "RATE_LIMIT"
	}
	return true
}

// accessRequest is somebody asking for an app, and the review that follows.
func accessRequest(s *story) bool {
	admin, p := s.subject()
	if p == nil || p.session == "" {
		return false
	}
	request := principal{s.g.id("req"), "AccessRequest", "unknown", "Access to " + s.app(p).instance.displayName}
	s.web(p, "/governance/api/v1/requests").add("access.request.create", request).note("requesterId", p.id)
	if s.chance(75) {
		s.desk(admin, "/governance/api/v1/requests/"+request.id).add("access.request.resolve", request).note("accessRequestStatus", "APPROVED")
	} else {
		s.desk(admin, "/governance/api/v1/requests/"+request.id).add("access.request.reject", request).note("accessRequestStatus", "DENIED")
	}
	if s.chance(20) {
		campaign := principal{s.g.id("icr"), "CertificationCampaign", "unknown", "Quarterly review"}
		s.desk(admin, "/governance/api/v1/campaigns/"+campaign.id+"/launch").add("certification.campaign.launch", campaign)
		s.desk(admin, "/governance/api/v1/campaigns/"+campaign.id+"/reviews").add("certification.campaign.item.decide", campaign, p.user())
	}
	return true
}

package traffic

import "strings"

// desk is a request of an administrator, who signs in first if need be.
func (s *story) desk(admin *person, uri string) *operation {
	if admin.session == "" {
		s.signIn(admin)
	}
	return s.web(admin, uri)
}

// subject finds an administrator and somebody to look after.
func (s *story) subject() (admin, p *person) {
	admin, p = s.find(true), s.find(false)
	if admin == nil || p == nil {
		return nil, nil
	}
	return admin, p
}

// staffing keeps the number of people near what was asked for.
func staffing(s *story) bool {
	staff := len(s.g.org.people) + len(s.g.org.admins)
	if staff < s.g.org.size || staff == s.g.org.size && s.chance(50) {
		return s.hire()
	}
	return s.dismiss()
}

func (s *story) hire() bool {
	admin := s.find(true)
	if admin == nil {
		return false
	}
	g := s.g
	p := s.take(g.newPerson(&g.org))
	op := s.desk(admin, "/api/v1/users")
	op.add("user.lifecycle.create", p.user())
	if s.chance(20) {
		op.add("user.import.password", p.user())
	}
	op.add("user.lifecycle.activate", p.user())
	op.add("system.email.delivery", p.user()).note("category", "activation")
	for _, i := range p.groups {
		group := g.org.groups[i]
		s.desk(admin, "/api/v1/groups/"+group.id+"/users/"+p.id).add("group.user_membership.add", p.user(), group)
	}
	for _, i := range p.apps {
		s.assign(s.job(), p, i)
	}
	self := s.web(p, "/idp/idx/credential/enroll")
	for _, factor := range p.factors {
		self.add("user.mfa.factor.activate", p.user(), factor).note("factor", strings.ToUpper(factor.alternateID))
	}
	s.after = func() { g.org.people = append(g.org.people, p) }
	return true
}

func (s *story) assign(op *operation, p *person, i int) {
	instance := s.g.org.apps[i].instance
	account := appUser(p, instance)
	op.add("application.user_membership.add", account, instance, p.user())
	if s.chance(40) {
		push := op.add("application.provision.user.push", account, instance, p.user()).note("AppName", instance.displayName)
		if s.chance(5) {
			push.fail("The application answered 503")
		}
	}
}

func (s *story) dismiss() bool {
	admin, p := s.subject()
	if p == nil {
		return false
	}
	if p.session != "" {
		s.desk(admin, "/api/v1/users/"+p.id+"/sessions").add("user.session.clear", p.user())
		p.session = ""
	}
	s.desk(admin, "/api/v1/users/"+p.id+"/lifecycle/deactivate").add("user.lifecycle.deactivate", p.user())
	op := s.job()
	for _, i := range p.apps {
		instance := s.g.org.apps[i].instance
		account := appUser(p, instance)
		op.add("application.user_membership.remove", account, instance, p.user())
		if s.chance(30) {
			op.add("application.provision.user.remove_entitlements", account, instance, p.user()).note("AppName", instance.displayName)
			op.add("application.provision.user.delete", account, instance, p.user()).note("AppName", instance.displayName)
		}
	}
	for _, i := range p.groups {
		op.add("group.user_membership.remove", p.user(), s.g.org.groups[i])
	}
	device := s.desk(admin, "/api/v1/devices/"+p.device.id+"/lifecycle/deactivate")
	device.add("device.lifecycle.deactivate", p.device)
	device.add("device.user.remove", p.device, p.user())
	if s.chance(30) {
		s.desk(admin, "/api/v1/users/"+p.id).add("user.lifecycle.delete.initiated", p.user())
		s.desk(admin, "/api/v1/devices/"+p.device.id).add("device.lifecycle.delete", p.device)
	} else if s.chance(10) {
		s.desk(admin, "/api/v1/users/"+p.id+"/lifecycle/reactivate").add("user.lifecycle.reactivate", p.user())
	}
	for i, other := range s.g.org.people {
		if other == p {
			s.g.org.people = append(s.g.org.people[:i], s.g.org.people[i+1:]...)
			break
		}
	}
	return true
}

// moves is a change of department: profile, groups, apps.
func moves(s *story) bool {
	admin, p := s.subject()
	if p == nil {
		return false
	}
	changed := []string{pick(s.g.random, attributes)}
	if second := pick(s.g.random, attributes); second != changed[0] {
		changed = append(changed, second)
	}
	s.desk(admin, "/api/v1/users/"+p.id).add("user.account.update_profile", p.user()).note("changedAttributes", strings.Join(changed, ","))
	if s.chance(40) {
		instance := s.app(p).instance
		op := s.job()
		op.add("application.provision.user.push_profile", appUser(p, instance), instance, p.user()).note("AppName", instance.displayName)
		op.add("application.user_membership.update", appUser(p, instance), instance, p.user()).note("changedAttributes", strings.Join(changed, ","))
	}
	if i := s.g.random.IntN(len(s.g.org.groups)); s.chance(50) {
		s.toggleGroup(admin, p, i)
	}
	if i := s.g.random.IntN(len(s.g.org.apps)); s.chance(30) {
		s.toggleApp(admin, p, i)
	}
	return true
}

func (s *story) toggleGroup(admin, p *person, i int) {
	group := s.g.org.groups[i]
	op := s.desk(admin, "/api/v1/groups/"+group.id+"/users/"+p.id)
	if rest, member := without(p.groups, i); member {
		p.groups = rest
		op.add("group.user_membership.remove", p.user(), group)
		return
	}
	p.groups = append(p.groups, i)
	op.add("group.user_membership.add", p.user(), group)
}

func (s *story) toggleApp(admin, p *person, i int) {
	instance := s.g.org.apps[i].instance
	op := s.desk(admin, "/api/v1/apps/"+instance.id+"/users/"+p.id)
	rest, assigned := without(p.apps, i)
	switch {
	case !assigned:
		p.apps = append(p.apps, i)
		s.assign(op, p, i)
	case len(rest) > 0:
		p.apps = rest
		op.add("application.user_membership.remove", appUser(p, instance), instance, p.user())
	}
	if s.chance(20) {
		other := s.app(p).instance
		s.desk(admin, "/api/v1/apps/"+other.id+"/users/"+p.id).add("application.user_membership.change_password", appUser(p, other), other, p.user())
	}
}

// without returns the list less one entry, and whether it was there.
func without(list []int, entry int) ([]int, bool) {
	for i, e := range list {
		if e == entry {
			return append(append([]int{}, list[:i]...), list[i+1:]...), true
		}
	}
	return list, false
}

// leave is an account put to rest and woken again.
func leave(s *story) bool {
	admin, p := s.subject()
	if p == nil {
		return false
	}
	if p.session != "" {
		s.desk(admin, "/api/v1/users/"+p.id+"/sessions").add("user.session.clear", p.user())
		p.session = ""
	}
	s.desk(admin, "/api/v1/users/"+p.id+"/lifecycle/suspend").add("user.lifecycle.suspend", p.user())
	s.desk(admin, "/api/v1/devices/"+p.device.id+"/lifecycle/suspend").add("device.lifecycle.suspend", p.device)
	s.desk(admin, "/api/v1/users/"+p.id+"/lifecycle/unsuspend").add("user.lifecycle.unsuspend", p.user())
	s.desk(admin, "/api/v1/devices/"+p.device.id+"/lifecycle/unsuspend").add("device.lifecycle.unsuspend", p.device)
	return true
}

// privilege is admin rights given for a while.
func privilege(s *story) bool {
	admin, p := s.subject()
	if p == nil {
		return false
	}
	role := pick(s.g.random, []string{"Help desk administrator", "Group administrator", "Report administrator"})
	if s.chance(30) {
		group := pick(s.g.random, s.g.org.groups)
		s.desk(admin, "/api/v1/groups/"+group.id+"/roles").add("group.privilege.grant", group).note("privilegeGranted", role)
		s.desk(admin, "/api/v1/groups/"+group.id+"/roles").add("group.privilege.revoke", group).note("privilegeRevoked", role)
		return true
	}
	s.desk(admin, "/api/v1/users/"+p.id+"/roles").add("user.account.privilege.grant", p.user()).note("privilegeGranted", role)
	s.desk(admin, "/api/v1/users/"+p.id+"/roles").add("user.account.privilege.revoke", p.user()).note("privilegeRevoked", role)
	return true
}

package admit

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/debugsidecar/debugsidecar/webhook/config"
	"github.com/debugsidecar/debugsidecar/webhook/inject"
	"github.com/debugsidecar/debugsidecar/webhook/session"
)

// maxIdentity is how many bytes of a user's or a group's name are recorded. A
// longer one is not cut: it would be somebody else's.
const maxIdentity = 1024

// debugging is what is read of a request that may bring debug containers.
type debugging struct {
	Request struct {
		Name      string   `json:"name"`
		Object    debugged `json:"object"`
		OldObject debugged `json:"oldObject"`
	} `json:"request"`
}

type debugged struct {
	Spec struct {
		Containers          []environment `json:"containers"`
		EphemeralContainers []environment `json:"ephemeralContainers"`
	} `json:"spec"`
}

// environment is a container's. Its variables stay as they came, with fields that
// this build may not know.
type environment struct {
	Name string            `json:"name"`
	Env  []json.RawMessage `json:"env"`
}

// isCopy says whether a pod is made as a copy of another one, to be debugged.
func isCopy(r *request) bool {
	_, is := r.pod.Pod.Metadata.Labels[session.CopyOfLabel]
	return is && r.Operation == "CREATE"
}

// stamp writes who asks, and the time, into debug containers that a request
// brings, and says so in the audit log. Nothing that the request says of that
// itself is left. What it returns comes before all other operations.
func (d Deps) stamp(r *request, resp *response) []inject.Operation {
	sessions := d.Config().File.Sessions
	if !sessions.Enabled || r.SubResource != "ephemeralcontainers" && !isCopy(r) {
		return nil
	}
	var body debugging
	if err := json.Unmarshal(r.body, &body); err != nil {
		d.Log.Warn("a debug session is not recorded: the request can't be read", "namespace", r.Namespace, "err", err)
		return nil
	}
	asked := &body.Request
	if !isIdentity(r.UserInfo.Name) {
		d.Log.Warn("a debug session is not recorded: the user's name is not fit for an environment", "namespace", r.Namespace, "pod", asked.Name)
		resp.Warnings = append(resp.Warnings, "debugsidecar: the debug session is not recorded: your user name is longer than "+strconv.Itoa(maxIdentity)+" bytes or has characters that can't be printed")
	}
	list, containers := "ephemeralContainers", asked.Object.Spec.EphemeralContainers
	if isCopy(r) {
		list, containers = "containers", asked.Object.Spec.Containers
	}
	var ops []inject.Operation
	var told sentences
	for i := range containers {
		c := &containers[i]
		variables := readVariables(c.Env)
		_, hasTTL := variables.mine[session.TTLVar]
		if isCopy(r) && !hasTTL && variables.count == 0 || !isCopy(r) && slices.ContainsFunc(asked.OldObject.Spec.EphemeralContainers, func(old environment) bool { return old.Name == c.Name }) {
			continue
		}
		key := stampKey{r.Namespace, asked.Name, c.Name, r.UserInfo.Name}
		if s, ok := d.stamps.find(key, variables.mine[session.RequestVar]); ok && variables.carry(s) {
			continue // this very request was here before: another mutation came between
		}
		s := stampOf(r.UID, r.UserInfo.Name, r.UserInfo.Groups, d.stamps.now())
		if hasTTL {
			s.limit(variables.mine[session.TTLVar], isCopy(r), sessions, c.Name, resp)
		}
		if !r.DryRun {
			d.stamps.remember(key, s)
		}
		ops = append(ops, inject.Operation{Op: "add", Path: "/spec/" + list + "/" + strconv.Itoa(i) + "/env", Value: variables.with(s)})
		told.add(s.sentence(c.Name, variables.mine))
		if !r.DryRun {
			d.Metrics.sessions.Inc()
		}
	}
	if told.count > 0 {
		resp.audit("session", told)
	}
	return ops
}

// pair is a variable of a stamp.
type pair struct{ name, value string }

// stamped is what the webhook writes into one container.
type stamped struct {
	request string
	since   time.Time
	ttl     time.Duration
	setTTL  bool // the request has one
	pairs   []pair
}

func stampOf(uid, user string, groups []string, now time.Time) *stamped {
	s := &stamped{request: uid, since: now.UTC().Truncate(time.Second)}
	if !isIdentity(user) {
		return s // what is forged goes, and nothing comes in its place
	}
	groups = slices.DeleteFunc(slices.Clone(groups), func(g string) bool { return !isIdentity(g) || strings.Contains(g, ",") })
	groups = groups[:min(len(groups), session.MaxGroups)]
	s.pairs = []pair{
		{session.UserVar, user},
		{session.GroupsVar, strings.Join(groups, ",")},
		{session.RequestVar, uid},
		{session.SinceVar, s.since.Format(time.RFC3339)},
	}
	return s
}

// limit sets the time that a session has: what is asked for, and not more than
// the most. A container that is to run for ever can't be made to end, so nothing
// is said of an end that would not come; a copy can, and is.
func (s *stamped) limit(asked string, isCopy bool, sessions config.Sessions, container string, resp *response) {
	ttl, err := time.ParseDuration(asked)
	most := sessions.MaxTTL.Duration
	warn := func(format string, args ...any) {
		resp.Warnings = append(resp.Warnings, fmt.Sprintf("debugsidecar: container %q: ", container)+fmt.Sprintf(format, args...))
	}
	switch {
	case err != nil || ttl < 0:
		ttl = session.DefaultTTL
		if most > 0 {
			ttl = min(ttl, most)
		}
		warn("the session gets a TTL of %s: %s is no duration such as 30m", ttl, session.TTLVar)
	case most > 0 && (ttl > most || ttl == 0 && isCopy):
		ttl = most
		warn("the session's TTL is %s, the most that is allowed here (sessions.maxTTL in the chart's values)", ttl)
	}
	s.setTTL, s.ttl = true, ttl
	if ttl > 0 && len(s.pairs) > 0 {
		s.pairs = append(s.pairs, pair{session.UntilVar, s.since.Add(ttl).Format(time.RFC3339)})
	}
}

// sentence is a stamp for the audit log, which knows who asked already.
func (s *stamped) sentence(container string, mine map[string]string) string {
	out := fmt.Sprintf("container %q, request %s, since %s", container, s.request, s.since.Format(time.RFC3339))
	if s.setTTL {
		out += ", TTL " + s.ttl.String()
	}
	if reason := mine[session.ReasonVar]; reason != "" {
		out += fmt.Sprintf(", reason %q", session.Text(reason))
	}
	if ticket := mine[session.TicketVar]; ticket != "" {
		out += fmt.Sprintf(", ticket %q", session.Text(ticket))
	}
	return out
}

// variables is a container's environment in parts: what is a session's, by name,
// and what else there is, in its order.
type variables struct {
	mine   map[string]string
	others []json.RawMessage
	count  int // of what is a session's
}

// webhooks says whether the webhook alone writes a variable.
func webhooks(name string) bool {
	switch name {
	case session.UserVar, session.GroupsVar, session.RequestVar, session.SinceVar, session.UntilVar:
		return true
	}
	return false
}

func readVariables(env []json.RawMessage) variables {
	v := variables{mine: map[string]string{}}
	for _, raw := range env {
		var e struct {
			Name  string `json:"name"`
			Value string `json:"value"`
		}
		_ = json.Unmarshal(raw, &e) // the API server has decoded it before
		switch {
		case webhooks(e.Name):
			v.count++
			v.mine[e.Name] = e.Value
		case e.Name == session.TTLVar:
			v.mine[e.Name] = e.Value
		default:
			if e.Name == session.ReasonVar || e.Name == session.TicketVar {
				v.mine[e.Name] = e.Value
			}
			v.others = append(v.others, raw)
		}
	}
	return v
}

// with returns the environment with a stamp. It comes first, so that a command in
// the container's own variables may use it, and they can't be used in it.
func (v *variables) with(s *stamped) json.RawMessage {
	pairs := s.pairs
	if s.setTTL {
		pairs = append([]pair{{session.TTLVar, s.ttl.String()}}, pairs...)
	}
	values := make([]json.RawMessage, 0, len(pairs)+len(v.others))
	for _, p := range pairs {
		value, _ := json.Marshal(map[string]string{"name": p.name, "value": p.value}) // strings can't fail
		values = append(values, value)
	}
	all, _ := json.Marshal(append(values, v.others...)) // neither can JSON that was read
	return all
}

// carry says whether an environment has exactly this stamp.
func (v *variables) carry(s *stamped) bool {
	if v.count != len(s.pairs) || s.setTTL && v.mine[session.TTLVar] != s.ttl.String() {
		return false
	}
	for _, p := range s.pairs {
		if value, ok := v.mine[p.name]; !ok || value != p.value {
			return false
		}
	}
	return true
}

// isIdentity says whether a name can stand in an environment as it is.
func isIdentity(name string) bool {
	return name != "" && len(name) <= maxIdentity && utf8.ValidString(name) &&
		!strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) })
}

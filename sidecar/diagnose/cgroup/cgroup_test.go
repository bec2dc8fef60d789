package cgroup

import (
	"strings"
	"testing"
)

var (
	ours   = strings.Repeat("a1", 32)
	theirs = strings.Repeat("b2", 32)
	third  = strings.Repeat("c3", 32)
)

func TestContainersAreKnownByEachRuntimesNames(t *testing.T) {
	const systemd = "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod0f1e_2d.slice/"
	const cgroupfs = "/kubepods/burstable/pod0f1e-2d/"
	for _, c := range []struct{ name, own, other, want string }{
		{"v2, namespace, containerd, systemd", "0::/", "0::/../cri-containerd-" + theirs + ".scope", theirs},
		{"v2, namespace, containerd, cgroupfs", "0::/", "0::/../" + theirs, theirs},
		{"v2, namespace, cri-o, systemd", "0::/", "0::/../crio-" + theirs + ".scope", theirs},
		{"v2, namespace, cri-o with crun's child group", "0::/", "0::/../../crio-" + theirs + ".scope/container", theirs},
		{"v2, namespace, docker", "0::/", "0::/../docker-" + theirs + ".scope", theirs},
		{"v2, namespace, systemd in the container", "0::/", "0::/../cri-containerd-" + theirs + ".scope/system.slice/x.service", theirs},
		{"v2, namespace, we are in a child group", "0::/shell", "0::/../" + theirs, theirs},
		{"v2, no namespace, systemd", "0::" + systemd + "cri-containerd-" + ours + ".scope", "0::" + systemd + "cri-containerd-" + theirs + ".scope", theirs},
		{"v2, no namespace, cgroupfs", "0::" + cgroupfs + ours, "0::" + cgroupfs + theirs, theirs},
		{"v2, no namespace, cri-o, cgroupfs", "0::" + cgroupfs + "crio-" + ours, "0::" + cgroupfs + "crio-" + theirs, theirs},
		{"the kubelet with systemd, containerd without", "0::/system.slice/containerd.service/kubepods-pod1.slice:cri-containerd:" + ours,
			"0::/system.slice/containerd.service/kubepods-pod1.slice:cri-containerd:" + theirs, theirs},
		{"a node that is a container", "0::/docker/" + third + "/kubelet" + cgroupfs + ours, "0::/docker/" + third + "/kubelet" + cgroupfs + theirs, theirs},
		{"v1", "4:memory:" + cgroupfs + ours + "\n1:cpu,cpuacct:" + cgroupfs + ours + "\n0::/\n",
			"4:memory:" + cgroupfs + theirs + "\n1:cpu,cpuacct:" + cgroupfs + theirs + "\n0::/\n", theirs},
		{"v1, one hierarchy hidden", "4:memory:/\n1:cpu:/\n", "4:memory:/\n1:cpu:/../" + theirs, theirs},
		{"a zombie's group was removed", "0::/", "0::/../" + theirs + " (deleted)", theirs},

		{"ours", "0::/", "0::/", ""},
		{"below ours, with another's name", "0::/", "0::/" + theirs, ""},
		{"below ours, no namespace", "0::" + cgroupfs + ours, "0::" + cgroupfs + ours + "/" + theirs, ""},
		{"another container that named a group after it", "0::/", "0::/../" + third + "/" + theirs, third},
		{"another container that named a group after it, no namespace", "0::" + cgroupfs + ours, "0::" + cgroupfs + third + "/" + theirs, third},
		{"hidden above us", "0::/", "0::/../..", ""},
		{"the pod's own group", "0::" + cgroupfs + ours, "0::/kubepods/burstable/pod0f1e-2d", ""},
		{"another pod's container", "0::" + cgroupfs + ours, "0::/kubepods/burstable/pod9/" + theirs, ""},
		{"another pod's container, namespace", "0::/", "0::/../../pod9/" + theirs, ""},
		{"CRI-O's monitor", "0::/", "0::/../crio-conmon-" + theirs + ".scope", ""},
		{"contradiction", "1:a:/\n2:b:/\n", "1:a:/../" + theirs + "\n2:b:/../" + third, ""},
		{"an id that is too long", "0::/", "0::/../a" + theirs, ""},
		{"capitals", "0::/", "0::/../" + strings.ToUpper(theirs), ""},
		{"another hierarchy", "1:a:/", "0::/../" + theirs, ""},
		{"nothing", "", "", ""},
		{"no path", "0::/", "0::", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := Parse(c.other).Container(Parse(c.own)); got != c.want {
				t.Errorf("%.10q, not %.10q", got, c.want)
			}
		})
	}
}

func TestWhatIsWithinUs(t *testing.T) {
	for _, c := range []struct {
		own, other   string
		same, within bool
	}{
		{"0::/", "0::/", true, true},
		{"0::/", "0::/job", false, true},
		{"0::/", "0::/../" + theirs, false, false},
		{"0::/", "0::/..", false, false},
		{"0::/a/" + ours, "0::/a/" + theirs, false, false},
		{"0::/a/" + ours, "0::/a", false, false},
		{"0::/a/" + ours, "0::/a/" + ours + "/job", false, true},
		{"1:cpu:/x\n0::/\n", "1:cpu:/y\n0::/\n", false, false},
		{"1:cpu:/x\n0::/\n", "0::/\n", false, false},
		{"1:cpu:/x\n", "2:memory:/x\n", false, false},
		{"", "", false, false},
	} {
		own, other := Parse(c.own), Parse(c.other)
		if other.Same(own) != c.same || other.Within(own) != c.within {
			t.Errorf("%q in %q: same %v, within %v", c.other, c.own, other.Same(own), other.Within(own))
		}
	}
}

func TestIDsOfAPodsStatus(t *testing.T) {
	for _, runtime := range []string{"containerd", "cri-o", "docker"} {
		if id, err := ID(runtime + "://" + theirs); err != nil || id != theirs {
			t.Errorf("%s: %q, %v", runtime, id, err)
		}
	}
	for _, s := range []string{"", theirs, "containerd://", "containerd://" + theirs[1:], "containerd://" + theirs + "0", "x://" + theirs, "containerd://" + strings.ToUpper(theirs), "containerd://" + theirs + "\n"} {
		if id, err := ID(s); err == nil {
			t.Errorf("%q is %q", s, id)
		}
	}
}

func FuzzContainer(f *testing.F) {
	f.Add("0::/", "0::/../cri-containerd-"+theirs+".scope")
	f.Add("4:memory:/kubepods/pod1/"+ours+"\n0::/\n", "4:memory:/kubepods/pod1/"+theirs+"\n0::/../..\n")
	f.Add("0::/a:b/../c", "::\n0:x\n:::/..//../")
	f.Fuzz(func(t *testing.T, own, other string) {
		a, b := Parse(own), Parse(other)
		id := b.Container(a)
		if id != "" && (len(id) != 64 || !strings.Contains(other, id)) {
			t.Errorf("%q is not in it", id)
		}
		if b.Within(a) && id != "" {
			t.Errorf("within us, and in %q", id)
		}
		if b.Same(a) && !b.Within(a) {
			t.Error("the same, but not within")
		}
		if got := a.Container(a); got != "" {
			t.Errorf("we are beside ourselves: %q", got)
		}
	})
}

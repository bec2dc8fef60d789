/* Whether a control group is another one, or below it. */
#ifndef DEBUGSIDECAR_CGROUP_H
#define DEBUGSIDECAR_CGROUP_H

/* How deep a control group may be below the root. */
#define CGROUP_DEPTH 16

static __always_inline bool is_below(struct cgroup *cgroup, __u64 id)
{
	struct cgroup *ancestor;
	unsigned long base = (unsigned long)cgroup + bpf_core_field_offset(struct cgroup, ancestors);
	int level = BPF_CORE_READ(cgroup, level);

	for (int i = 0; i < CGROUP_DEPTH && i <= level; i++) {
		ancestor = NULL;
		bpf_probe_read_kernel(&ancestor, sizeof(ancestor), (void *)(base + i * sizeof(ancestor)));
		if (BPF_CORE_READ(ancestor, kn, id) == id)
			return true;
	}
	return false;
}

#endif

//go:build ignore

/*
 * Frames that a camera's driver gives to its buffers, and those that it does not.
 *
 * vb2_buf_done (include/trace/events/vb2.h) is each buffer that is complete,
 * vb2_dqbuf each one that a program takes, in that program's task, and
 * v4l2_dqbuf (v4l2.h), right after, knows the device's minor number.
 */
#include "../internal/headers/kernel.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include "../internal/headers/cgroup.h"

char __license[] SEC("license") = "Dual MIT/GPL";

/* What Open was asked for. */
const volatile bool all;
const volatile __u64 cgroup_id; /* this control group and its descendants; else: */

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, __u32);
	__type(value, __u8);
	__uint(max_entries, 1024);
} netns SEC(".maps");

struct queue {
	__u64 frames; /* complete and good */
	__u64 gaps;
	__u64 lost;
	__u64 errors;
	__u64 flushed;
	__u64 restarts;
	__u64 dequeued;
	__u64 last_ktime;
	__u64 dequeued_ktime;
	__u32 sequence; /* of the last buffer */
	__u32 minor;
	__u8 started; /* sequence is known */
	__u8 flushing;
	__u8 ours; /* a task of the target takes its buffers */
	__u8 theirs;
	__u32 pad;
};

/* By the queue's address. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, __u64);
	__type(value, struct queue);
	__uint(max_entries, 256);
} queues SEC(".maps");

/* What a task dequeued last, until v4l2_dqbuf tells from which device. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__type(key, __u64);
	__type(value, __u64);
	__uint(max_entries, 256);
} dequeuing SEC(".maps");

struct state {
	__u64 overflow; /* buffers of queues that the map had no room for */
	__u64 events_lost;
	__u64 woken;
	struct queue fresh; /* all zero */
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__type(key, __u32);
	__type(value, struct state);
	__uint(max_entries, 1);
} states SEC(".maps");

#define EVENT_GAP 1
#define EVENT_ERROR 2

struct event {
	__u64 ktime;
	__u64 queue;
	__u32 minor;
	__u32 sequence; /* of the first frame that is missing, or the broken one */
	__u32 count;
	__u32 kind;
};

const struct event *event_type __attribute__((unused));

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 16);
} events SEC(".maps");

#define V4L2_BUF_TYPE_VIDEO_CAPTURE 1
#define V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE 9

static __always_inline struct queue *queue_of(struct state *state, __u64 address)
{
	struct queue *q = bpf_map_lookup_elem(&queues, &address);

	if (q)
		return q;
	bpf_map_update_elem(&queues, &address, &state->fresh, BPF_NOEXIST);
	q = bpf_map_lookup_elem(&queues, &address);
	if (!q)
		state->overflow++;
	return q;
}

static __always_inline bool captures(struct vb2_queue *vq)
{
	unsigned int type = BPF_CORE_READ(vq, type);

	return type == V4L2_BUF_TYPE_VIDEO_CAPTURE || type == V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE;
}

static __always_inline void report(struct state *state, struct queue *q, __u64 address, __u32 kind, __u32 sequence,
				   __u32 count)
{
	__u64 now = q->last_ktime, flags = BPF_RB_NO_WAKEUP;
	struct event *e;

	if (!q->ours)
		return;
	e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);
	if (!e) {
		state->events_lost++;
		return;
	}
	*e = (struct event){
		.ktime = now, .queue = address, .minor = q->minor, .sequence = sequence, .count = count, .kind = kind,
	};
	if (now - state->woken > 1000000) {
		state->woken = now;
		flags = BPF_RB_FORCE_WAKEUP;
	}
	bpf_ringbuf_submit(e, flags);
}

SEC("raw_tp/vb2_buf_done")
int v4l2_buf_done(struct bpf_raw_tracepoint_args *ctx)
{
	struct vb2_queue *vq = (void *)ctx->args[0];
	struct vb2_v4l2_buffer *vb = (void *)ctx->args[1];
	enum vb2_buffer_state buffer_state = BPF_CORE_READ(vb, vb2_buf.state);
	__u32 zero = 0, sequence = BPF_CORE_READ(vb, sequence);
	__u64 address = (__u64)vq;
	struct state *state;
	struct queue *q;
	bool broken;

	broken = buffer_state == bpf_core_enum_value(enum vb2_buffer_state, VB2_BUF_STATE_ERROR);
	if (!broken && buffer_state != bpf_core_enum_value(enum vb2_buffer_state, VB2_BUF_STATE_DONE))
		return 0;
	state = bpf_map_lookup_elem(&states, &zero);
	if (!state || !captures(vq))
		return 0;
	q = queue_of(state, address);
	if (!q)
		return 0;
	if (broken && (!q->started || (__s32)(sequence - q->sequence) <= 0)) {
		/* STREAMOFF gives back what is queued, with an old sequence number. */
		q->flushed++;
		q->flushing = 1;
		return 0;
	}
	q->last_ktime = bpf_ktime_get_ns();
	if (q->started && (q->flushing || (__s32)(sequence - q->sequence) <= 0)) {
		q->restarts++; /* STREAMON counts from 0 again */
	} else if (q->started && sequence - q->sequence > 1) {
		q->gaps++;
		q->lost += sequence - q->sequence - 1;
		report(state, q, address, EVENT_GAP, q->sequence + 1, sequence - q->sequence - 1);
	}
	q->flushing = 0;
	q->started = 1;
	q->sequence = sequence;
	if (broken) {
		q->errors++;
		report(state, q, address, EVENT_ERROR, sequence, 1);
	} else {
		q->frames++;
	}
	return 0;
}

static __always_inline bool ours(void)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	__u32 inum;

	if (all)
		return true;
	if (cgroup_id)
		return is_below(BPF_CORE_READ(task, cgroups, dfl_cgrp), cgroup_id);
	inum = BPF_CORE_READ(task, nsproxy, net_ns, ns.inum);
	return bpf_map_lookup_elem(&netns, &inum);
}

/* A camera is read by one program at a time; its queue may serve others later. */
static __always_inline void belongs(struct state *state, struct queue *q, bool mine)
{
	__u32 sequence = q->sequence, started = q->started;

	if (mine ? q->theirs : q->ours) {
		__builtin_memcpy(q, &state->fresh, sizeof(*q));
		q->sequence = sequence;
		q->started = started;
	}
	q->ours = mine;
	q->theirs = !mine;
}

SEC("raw_tp/vb2_dqbuf")
int v4l2_vb2_dqbuf(struct bpf_raw_tracepoint_args *ctx)
{
	__u64 address = ctx->args[0], id = bpf_get_current_pid_tgid();
	struct vb2_queue *vq = (void *)address;
	struct state *state;
	struct queue *q;
	__u32 zero = 0;
	bool mine;

	state = bpf_map_lookup_elem(&states, &zero);
	if (!state || !captures(vq))
		return 0;
	q = queue_of(state, address);
	if (!q)
		return 0;
	mine = ours();
	belongs(state, q, mine);
	if (!mine)
		return 0;
	q->dequeued++;
	q->dequeued_ktime = bpf_ktime_get_ns();
	bpf_map_update_elem(&dequeuing, &id, &address, BPF_ANY);
	return 0;
}

SEC("raw_tp/v4l2_dqbuf")
int v4l2_dqbuf(struct bpf_raw_tracepoint_args *ctx)
{
	__u64 id = bpf_get_current_pid_tgid(), *address;
	struct queue *q;

	address = bpf_map_lookup_elem(&dequeuing, &id);
	if (!address)
		return 0;
	q = bpf_map_lookup_elem(&queues, address);
	if (q)
		q->minor = (__u32)ctx->args[0];
	bpf_map_delete_elem(&dequeuing, &id);
	return 0;
}

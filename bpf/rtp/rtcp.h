/* What the ends of a flow tell each other about it: RTCP (RFC 3550, 4585, 5104). */

#define RTCP_SR 200
#define RTCP_RR 201
#define RTCP_BYE 203
#define RTCP_RTPFB 205
#define RTCP_PSFB 206
#define FMT_NACK 1
#define FMT_PLI 1
#define FMT_FIR 4

#define MAX_PACKETS 8 /* in a compound packet */
#define MAX_ENTRIES 32

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, struct source);
	__type(value, struct control);
	__uint(max_entries, 8192);
} controls SEC(".maps");

static __always_inline struct control *control_of(struct state *state, struct source *s, struct flow_key *key,
						  __u32 ssrc, int from_sender)
{
	struct control *c;
	__u32 zero = 0;

	__builtin_memcpy(s->saddr, from_sender ? key->saddr : key->daddr, 16);
	__builtin_memcpy(s->daddr, from_sender ? key->daddr : key->saddr, 16);
	s->family = key->family;
	s->ssrc = ssrc;
	c = bpf_map_lookup_elem(&controls, s);
	if (c)
		return c;
	/* Looked up once more: Linux 6.1 takes no other memory for a value. */
	state = bpf_map_lookup_elem(&states, &zero);
	if (!state)
		return NULL;
	bpf_map_update_elem(&controls, s, &state->fresh_control, BPF_NOEXIST);
	c = bpf_map_lookup_elem(&controls, s);
	if (!c)
		state->control_refused++;
	return c;
}

#define INCREASE(field, n) __sync_fetch_and_add(&(field), n)

/*
 * Reads 1, 2 or 6 words of a packet into state->words. Functions like this are
 * verified once; in line, each would be followed with each way to it.
 */
__noinline int read_words(struct __sk_buff *skb, struct state *state, __u32 at, __u32 n)
{
	if (!state)
		return -1;
	if (n == 1)
		return load_with(skb, state->base, at, state->words, 4);
	if (n == 2)
		return load_with(skb, state->base, at, state->words, 8);
	return load_with(skb, state->base, at, state->words, 24);
}

#define WORD(i) bpf_ntohl(state->words[i])

/* A block: source, fraction and number lost, highest, jitter, two times. */
static __always_inline int report_block(struct __sk_buff *skb, struct state *state, struct flow_key *key, __u32 at)
{
	struct source s = {};
	struct control *c;

	if (read_words(skb, state, at, 6))
		return -1;
	c = control_of(state, &s, key, WORD(0), 0);
	if (!c)
		return 0;
	INCREASE(c->receiver_reports, 1);
	c->receiver_ktime = bpf_ktime_get_ns();
	c->fraction_lost = WORD(1) >> 24;
	c->cumulative_lost = WORD(1) & 0xffffff;
	c->extended_highest = WORD(2);
	c->reported_jitter = WORD(3);
	return 0;
}

/*
 * What a walk carries along. Loops are bpf_loop's: without CAP_PERFMON the
 * verifier also follows what the processor may do by mistake, and so an ordinary
 * loop beyond its end. And Linux 6.1 then refuses to write a part of what it has
 * seen written as a whole, so all have 8 bytes.
 */
struct rtcp_walk {
	struct __sk_buff *skb;
	struct state *state;
	struct flow_key *key;
	__u64 at, left, sum, count;
};

static int next_block(__u32 i, struct rtcp_walk *w)
{
	int end = report_block(w->skb, w->state, w->key, w->at);

	w->at += 24;
	return !!end;
}

static __always_inline int report_blocks(struct __sk_buff *skb, struct state *state, struct flow_key *key, __u32 at, __u32 blocks)
{
	struct rtcp_walk w = {.skb = skb, .state = state, .key = key, .at = at};

	if (!state || !key)
		return 0;
	bpf_loop(blocks & 31, next_block, &w, 0);
	return 0;
}

/* Sender's information: source, NTP's two words, RTP's, packets, octets. */
__noinline int sender_report(struct __sk_buff *skb, struct state *state, struct flow_key *key, __u32 at)
{
	struct source s = {};
	struct control *c;

	if (!state || !key)
		return 0;
	if (read_words(skb, state, at, 6))
		return 0;
	c = control_of(state, &s, key, WORD(0), 1);
	if (!c)
		return 0;
	INCREASE(c->sender_reports, 1);
	c->sender_ktime = bpf_ktime_get_ns();
	c->ntp = (__u64)WORD(1) << 32 | WORD(2);
	c->rtp_timestamp = WORD(3);
	c->sender_packets = WORD(4);
	c->sender_octets = WORD(5);
	return 0;
}

enum field {
	PLI,
	FIR,
	NACK,
	BYE,
};

/* Counts what is said of a source, n numbers of packets with it. */
__noinline int heard(struct state *state, struct flow_key *key, __u32 ssrc, enum field what, __u32 n)
{
	struct source s = {};
	struct control *c;

	if (!state || !key)
		return 0;
	c = control_of(state, &s, key, ssrc, what == BYE);
	if (!c)
		return 0;
	switch (what) {
	case PLI:
		INCREASE(c->pli, 1);
		break;
	case FIR:
		INCREASE(c->fir, 1);
		break;
	case NACK:
		INCREASE(c->nack, 1);
		INCREASE(c->nack_packets, n);
		break;
	case BYE:
		INCREASE(c->byes, 1);
		break;
	}
	return 0;
}

/* Each entry names a source; the field of the header is unused. */
static int next_fir(__u32 i, struct rtcp_walk *w)
{
	if (read_words(w->skb, w->state, w->at, 2))
		return 1;
	heard(w->state, w->key, bpf_ntohl(w->state->words[0]), FIR, 0);
	w->at += 8;
	return 0;
}

__noinline int full_intra_requests(struct __sk_buff *skb, struct state *state, struct flow_key *key, __u32 at, __u32 n)
{
	struct rtcp_walk w = {.skb = skb, .state = state, .key = key, .at = at};

	if (!state || !key)
		return 0;
	bpf_loop(n < MAX_ENTRIES ? n : MAX_ENTRIES, next_fir, &w, 0);
	return 0;
}

/* Each entry is a sequence number, and a bit for each of the 16 after it. */
static int next_nack(__u32 i, struct rtcp_walk *w)
{
	__u32 bits;

	if (read_words(w->skb, w->state, w->at, 1))
		return 1;
	bits = bpf_ntohl(w->state->words[0]) & 0xffff;
	bits -= bits >> 1 & 0x5555;
	bits = (bits & 0x3333) + (bits >> 2 & 0x3333);
	bits = (bits + (bits >> 4)) & 0x0f0f;
	w->sum += 1 + ((bits + (bits >> 8)) & 0x1f);
	w->at += 4;
	return 0;
}

__noinline int nacks(struct __sk_buff *skb, struct state *state, __u32 at, __u32 n)
{
	struct rtcp_walk w = {.skb = skb, .state = state, .at = at};

	if (!state)
		return 0;
	bpf_loop(n < MAX_ENTRIES ? n : MAX_ENTRIES, next_nack, &w, 0);
	return w.sum;
}

/* Returns the packet's size in bytes, 0 if it is none. */
__noinline int one_packet(struct __sk_buff *skb, struct state *state, struct flow_key *key, __u32 at, __u32 count)
{
	__u32 first, size, source, type, format;

	if (!state || !key)
		return 0;
	if (read_words(skb, state, at, 2))
		return 0;
	first = WORD(0);
	source = WORD(1);
	size = ((first & 0xffff) + 1) * 4;
	type = first >> 16 & 0xff;
	format = first >> 24 & 31;
	if (first >> 30 != 2)
		return 0;
	if (!count)
		return size;
	if (type == RTCP_SR) {
		sender_report(skb, state, key, at + 4);
		report_blocks(skb, state, key, at + 28, format);
	} else if (type == RTCP_RR) {
		report_blocks(skb, state, key, at + 8, format);
	} else if (type == RTCP_BYE) {
		heard(state, key, source, BYE, 0);
	} else if (size < 12) {
		return size;
	} else if (type == RTCP_PSFB && format == FMT_FIR) {
		full_intra_requests(skb, state, key, at + 12, (size - 12) / 8);
	} else if (type == RTCP_PSFB || type == RTCP_RTPFB) {
		if (read_words(skb, state, at + 8, 1))
			return size;
		source = WORD(0); /* of the media */
		if (type == RTCP_PSFB && format == FMT_PLI)
			heard(state, key, source, PLI, 0);
		else if (type == RTCP_RTPFB && format == FMT_NACK)
			heard(state, key, source, NACK, nacks(skb, state, at + 12, (size - 12) / 4));
	}
	return size;
}

static int next_packet(__u32 i, struct rtcp_walk *w)
{
	__u32 size = one_packet(w->skb, w->state, w->key, w->at, w->count);

	if (!size || size > w->left)
		return 1;
	w->left -= size;
	w->at += size;
	return !w->left;
}

/*
 * A compound packet is walked twice: RFC 3550, A.2 wants its lengths to add up,
 * else it is something else.
 */
__noinline int rtcp(struct __sk_buff *skb, struct flow_key *key, __u32 at, __u32 size, __u32 tcx)
{
	struct rtcp_walk w = {.skb = skb, .key = key, .at = at, .left = size};
	__u32 zero = 0;

	w.state = bpf_map_lookup_elem(&states, &zero);
	if (!key || !w.state)
		return 0;
	w.state->base = base_of(skb, tcx);
	bpf_loop(MAX_PACKETS, next_packet, &w, 0);
	if (w.left) {
		w.state->malformed++;
		return 0;
	}
	w.at = at;
	w.left = size;
	w.count = 1;
	bpf_loop(MAX_PACKETS, next_packet, &w, 0);
	return 0;
}

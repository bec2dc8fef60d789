/* The figures of a flow, and how it is recognised. */

/* What Open was asked for. */
const volatile bool explicit_ports;  /* only those in the map */
const volatile __u32 rates[128];     /* clock rate of a payload type, Hz */

static __always_inline bool video(__u8 payload_type) { return rates[payload_type & 127] == VIDEO_RATE; }

#define WINDOW 512	 /* sequence numbers that are remembered */
#define MAX_DROPOUT 3000 /* RFC 3550, A.1 */
#define TIMESTAMPS 8	 /* frames that may be under way at once */
#define AGREE 5		 /* packets that have to agree before a flow is one */
#define NEAR 64		 /* how far apart their sequence numbers may be */

/* A time without a whole picture, between the last packets of two. */
struct wait {
	__u64 from, to; /* ktime */
	__u32 before, after; /* the pictures' timestamps */
};

#define WAIT 100000000 /* ns from which on it is one */

struct flow {
	__u64 version; /* as changed, once a change is done */
	__u32 lock;
	__u32 rate;
	__u64 packets;
	__u64 bytes;
	__u64 duplicates;
	__u64 reordered;
	__u64 outliers;
	__u64 restarts;
	__u64 lost_before; /* up to the last restart */
	__u64 unique;	   /* since the last restart, as all that follow: */
	__u64 base;	   /* extended sequence number of the first packet */
	__u64 max;	   /* and of the highest */
	__u64 gaps;
	__u64 frames;
	__u64 markers;
	__u64 jitter; /* 1/256 of a tick of the flow's clock */
	__u64 first_ktime;
	__u64 last_ktime;
	__u32 timestamp; /* of the packet that came last */
	__u32 highest_timestamp; /* of the packet with the highest number */
	__u32 whole_timestamp;	 /* of the last whole picture before the one at hand */
	__u16 restart_seq;
	__u8 restarting;
	__u8 payload_type;
	__u8 highest_marker; /* as highest_timestamp */
	__u8 around; /* ENDS and so on, of the gap at hand */
	__u16 missing;	   /* packets of the picture at hand */
	__u64 whole_ktime; /* as whole_timestamp: of its last packet */
	__u64 next_missing; /* packets of the picture that begins */
	__u64 waits;
	struct wait wait; /* the latest */
	struct keys keys;
	__u32 timestamps[TIMESTAMPS];
	__u64 seen[WINDOW / 64];
	__u64 contended; /* packets that are in no figure here */
	__u64 changed;	 /* increased before each change */
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, struct flow_key);
	__type(value, struct flow);
	__uint(max_entries, 4096);
} flows SEC(".maps");

/* What may become a flow. The least recently used go when it is full. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__type(key, struct flow_key);
	__type(value, struct flow);
	__uint(max_entries, 1024);
} candidates SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, __u16);
	__type(value, __u8);
	__uint(max_entries, 1024);
} media_ports SEC(".maps");

/* A source of media, as its receivers name it. */
struct source {
	__u8 saddr[16], daddr[16]; /* of the media, not of the RTCP packet */
	__u32 ssrc;
	__u16 family;
	__u16 pad;
};

struct control {
	__u64 pli;
	__u64 fir;
	__u64 nack;
	__u64 nack_packets; /* sequence numbers that were asked for */
	__u64 sender_reports;
	__u64 receiver_reports;
	__u64 byes;
	__u64 ntp; /* of the last sender report, as the next three */
	__u64 sender_ktime;
	__u32 rtp_timestamp;
	__u32 sender_packets;
	__u32 sender_octets;
	__u32 cumulative_lost; /* of the last receiver report: 24 bits, signed */
	__u64 receiver_ktime;
	__u32 extended_highest;
	__u32 reported_jitter;
	__u32 fraction_lost; /* of 256 */
	__u32 pad;
};

/* One direction of a TCP connection (tcp.h). */
struct stream {
	__u64 segments; /* with data */
	__u64 bytes;	/* of data, retransmitted ones once more */
	__u64 retransmits;
	__u64 zero_windows; /* segments by which this end says: no more */
	__u64 interleaved;  /* segments that begin with a frame */
	__u64 rtsp;	    /* segments that begin with RTSP's answer */
	__u64 last_ktime;
	__u32 next; /* the sequence number after the highest byte */
	__u32 started;
};

/* Per CPU: no one else writes them. What is fresh stays all zero. */
struct state {
	__u64 refused; /* packets of flows that the map had no room for */
	__u64 control_refused;
	__u64 tcp_refused;
	__u64 gaps_lost; /* events that the ring had no room for */
	__u64 malformed; /* RTCP whose lengths do not add up */
	__u64 woken;
	__be32 words[6]; /* of the RTCP packet at hand */
	__u32 base;	 /* where its network header is in the data */
	__u32 pad;
	struct flow fresh;
	struct control fresh_control;
	struct stream fresh_stream;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__type(key, __u32);
	__type(value, struct state);
	__uint(max_entries, 1);
} states SEC(".maps");

/* What is known of the packets around a gap. */
#define ENDS 1	  /* the one before ends a picture */
#define LEGIBLE 2 /* the flow's codec is known */
#define BEGINS 4  /* then: the one after begins a picture */

struct gap {
	__u64 ktime;
	struct flow_key key;
	__u32 before; /* RTP timestamps of the packets around it */
	__u32 after;
	__u32 count;
	__u16 first;
	__u8 filled;
	__u8 around; /* as ENDS and so on */
};

/* So that the type is known where it is read. */
const struct gap *gap_type __attribute__((unused));

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 18);
} gaps SEC(".maps");

struct packet {
	__u64 now;
	__u32 timestamp;
	__u32 len;
	__u16 seq;
	__u8 payload_type;
	__u8 marker;
	__u16 carries; /* keys.h */
	__u16 base;    /* where its network header is, if it is looked at in TCX */
	__u8 tcx;
	__u8 pad[7]; /* all of it has to be set where a function takes it */
};

/*
 * Below 1024 there are DNS, NTP and their like. RTCP may have the port after
 * RTP's (RFC 3550, section 11).
 */
static __always_inline bool watched(__u16 sport, __u16 dport, int control)
{
	__u16 below;

	if (!explicit_ports)
		return sport >= 1024 && dport >= 1024;
	if (bpf_map_lookup_elem(&media_ports, &sport) || bpf_map_lookup_elem(&media_ports, &dport))
		return true;
	if (!control)
		return false;
	below = sport - 1;
	if (bpf_map_lookup_elem(&media_ports, &below))
		return true;
	below = dport - 1;
	return bpf_map_lookup_elem(&media_ports, &below);
}

/*
 * The window is a ring of bits. A filter without CAP_PERFMON may not compute
 * where in a map's value to look, so every word is touched, each at a place that
 * is fixed, and a mask picks the one that is meant.
 */
#define WORDS (WINDOW / 64)

static __always_inline __u64 bit_in_word(__u32 seq, int word)
{
	__u64 other = ((seq >> 6) & (WORDS - 1)) ^ word;

	/* No branch, whatever the compiler thinks of it. */
	asm volatile("" : "+r"(other));
	return (other - 1) >> 63 << (seq & 63);
}

static __always_inline void set_seen(struct flow *f, __u32 seq)
{
#pragma unroll
	for (int w = 0; w < WORDS; w++)
		f->seen[w] |= bit_in_word(seq, w);
}

static __always_inline bool was_seen(struct flow *f, __u32 seq)
{
	__u64 found = 0;

#pragma unroll
	for (int w = 0; w < WORDS; w++)
		found |= f->seen[w] & bit_in_word(seq, w);
	return found;
}

static __always_inline __u64 lowest(__s32 n)
{
	return n <= 0 ? 0 : n >= 64 ? ~0ull : (1ull << n) - 1;
}

/*
 * Which bits of a word stand for the count numbers, less than WINDOW, from first
 * on. A function of its own is verified once; in line, each way through it would
 * be followed with each way through the eight before.
 */
__noinline __u64 bits_between(__u32 word, __u32 first, __s32 count)
{
	/* How far the word's first bit is from first; the ring ends at WINDOW. */
	__s32 from = (word * 64 - first) & (WINDOW - 1);

	return lowest(count - from) | (lowest(count + WINDOW - from) & ~lowest(WINDOW - from));
}

static __always_inline void clear_seen(struct flow *f, __u32 first, __s32 count)
{
#pragma unroll
	for (int w = 0; w < WORDS; w++)
		f->seen[w] &= ~bits_between(w, first, count);
}

static __always_inline void start_sequence(struct flow *f, __u16 seq)
{
	/* Room below, for packets that were overtaken by the first one. */
	f->base = f->max = 0x10000 + seq;
	f->unique = 0;
	__builtin_memset(f->seen, 0, sizeof(f->seen));
}

static __always_inline __u8 around(struct flow *f, struct packet *p)
{
	__u32 codec = f->keys.codec, carries = p->carries >> (codec == H265 ? AS_H265 : 0);

	if (codec == NO_CODEC || f->keys.score < RECOGNISED)
		return f->highest_marker & ENDS;
	return (f->highest_marker & ENDS) | LEGIBLE | (carries & FIRST ? BEGINS : 0);
}

/*
 * A gap before a packet: where pictures change in it, each of the two may have
 * been whole. A function of its own, and what it finds is in the flow, since
 * Linux 6.1 does not let count() spill more to its stack.
 */
__noinline int miss(struct flow *f, struct packet *p, __u32 count)
{
	if (!f || !p)
		return 0;
	f->around = around(f, p);
	if (p->timestamp == f->timestamp) {
		f->missing += count;
		return 0;
	}
	if (!(f->around & ENDS))
		f->missing = 1;
	f->next_missing = (f->around & (LEGIBLE | BEGINS)) == LEGIBLE;
	return 0;
}

/* Tells of count numbers from first on that are missing, or of one that came after all. */
static __always_inline void tell(struct state *state, struct flow_key *key, struct flow *f, struct packet *p,
				 __u16 first, __u16 count, __u16 filled)
{
	__u64 flags = BPF_RB_NO_WAKEUP;
	struct gap *g;

	g = bpf_ringbuf_reserve(&gaps, sizeof(*g), 0);
	if (!g) {
		state->gaps_lost++;
		return;
	}
	g->ktime = p->now;
	g->key = *key;
	g->before = filled ? p->timestamp : f->highest_timestamp;
	g->after = p->timestamp;
	g->count = count;
	g->first = first;
	g->filled = filled;
	g->around = filled ? 0 : f->around;
	/* The reader polls for a while once it is woken. */
	if (p->now - state->woken > 1000000) {
		state->woken = p->now;
		flags = BPF_RB_FORCE_WAKEUP;
	}
	bpf_ringbuf_submit(g, flags);
}

/* Sets the place of a packet in the sequence. Returns false for an outlier. */
static __always_inline bool sequence(struct state *state, struct flow_key *key, struct flow *f, struct packet *p)
{
	__u16 ahead = p->seq - (__u16)f->max;
	__u16 behind = -ahead;

	if (!f->packets) {
		start_sequence(f, p->seq);
	} else if (ahead == 1) {
		f->max++; /* its bit is set below, whatever it was */
	} else if (ahead && ahead < MAX_DROPOUT) {
		f->gaps++;
		miss(f, p, ahead - 1);
		tell(state, key, f, p, f->max + 1, ahead - 1, 0);
		if (ahead >= WINDOW)
			__builtin_memset(f->seen, 0, sizeof(f->seen));
		else
			clear_seen(f, f->max + 1, ahead);
		f->max += ahead;
	} else if (behind < WINDOW) {
		if (was_seen(f, p->seq)) {
			f->duplicates++;
			return true;
		}
		f->reordered++;
		f->unique++;
		if (f->max - behind < f->base)
			f->base = f->max - behind; /* nobody missed it */
		else
			tell(state, key, f, p, p->seq, 1, 1);
		if (f->missing && p->timestamp == f->timestamp)
			f->missing--;
		set_seen(f, p->seq);
		return true;
	} else if (f->restarting && p->seq == f->restart_seq) {
		/* Two in a row: the source began anew (RFC 3550, A.1). */
		f->lost_before += f->max - f->base + 1 - f->unique;
		f->restarts++;
		f->outliers--;
		start_sequence(f, p->seq - 1);
		f->unique = 1;
		set_seen(f, p->seq - 1);
		f->max++;
	} else {
		f->restarting = 1;
		f->restart_seq = p->seq + 1;
		f->outliers++;
		return false;
	}
	f->highest_timestamp = p->timestamp;
	f->highest_marker = p->marker;
	f->restarting = 0;
	f->unique++;
	set_seen(f, p->seq);
	return true;
}

/* The next picture begins, so the one before is as whole as it will be. */
__noinline int end_picture(struct flow *f)
{
	__u16 broken;

	if (!f)
		return 0;
	broken = f->missing;
	f->missing = f->next_missing;
	if (broken)
		return 0;
	if (f->whole_ktime && f->last_ktime - f->whole_ktime > WAIT) {
		f->waits++;
		f->wait.from = f->whole_ktime;
		f->wait.to = f->last_ktime;
		f->wait.before = f->whole_timestamp;
		f->wait.after = f->timestamp;
	}
	f->whole_ktime = f->last_ktime;
	f->whole_timestamp = f->timestamp;
	return 0;
}

/* A frame is a timestamp, as packets with the marker bit get lost, too. */
static __always_inline void frame(struct flow *f, __u32 timestamp)
{
#pragma unroll
	for (int i = 0; i < TIMESTAMPS; i++)
		if (i < f->frames && f->timestamps[i] == timestamp)
			return;
#pragma unroll
	for (int i = TIMESTAMPS - 1; i > 0; i--)
		f->timestamps[i] = f->timestamps[i - 1];
	f->timestamps[0] = timestamp;
	f->frames++;
	end_picture(f);
}

/*
 * RFC 3550, A.8, in sixteenths of a tick. Only differences are multiplied: a
 * time since boot would overflow after two days.
 */
static __always_inline void jitter(struct flow *f, struct packet *p)
{
	__u64 passed = p->now - f->last_ktime;
	__s64 d;

	if (passed > 1000000000000ull)
		return;
	d = (__s64)(passed * f->rate / 62500000) - (__s64)(__s32)(p->timestamp - f->timestamp) * 16;
	if (d < 0)
		d = -d;
	f->jitter += d - ((f->jitter + 8) >> 4);
}

static __always_inline void account(struct state *state, struct flow_key *key, struct flow *f, struct packet *p)
{
	bool placed = sequence(state, key, f, p);

	f->packets++;
	f->bytes += p->len;
	f->markers += p->marker;
	f->payload_type = p->payload_type;
	f->rate = rates[p->payload_type & 127];
	if (f->packets == 1) {
		f->first_ktime = p->now;
		f->frames = 1;
		f->timestamps[0] = p->timestamp;
	} else if (placed) {
		jitter(f, p);
		if (p->timestamp != f->timestamp)
			frame(f, p->timestamp);
		f->next_missing = 0;
	} else {
		return;
	}
	if (p->carries)
		take_keys(&f->keys, p->carries, p->timestamp, f->frames, p->now);
	f->timestamp = p->timestamp;
	f->last_ktime = p->now;
}

#define TRIES 16

static __always_inline struct flow *make_flow(struct state *state, struct flow_key *key)
{
	struct flow *f = &state->fresh;

	if (bpf_map_update_elem(&flows, key, f, BPF_NOEXIST)) {
		f = bpf_map_lookup_elem(&flows, key);
		if (!f)
			state->refused++;
		return f;
	}
	return bpf_map_lookup_elem(&flows, key);
}

/*
 * Counts a packet of what may be a flow. Once enough of them agree, all that
 * they were is the flow's. Returns it for the packet at hand, else NULL.
 */
static __always_inline struct flow *candidate(struct state *state, struct flow_key *key, struct packet *p)
{
	struct flow *c = bpf_map_lookup_elem(&candidates, key);
	__u16 apart;

	if (!c) {
		bpf_map_update_elem(&candidates, key, &state->fresh, BPF_ANY);
		c = bpf_map_lookup_elem(&candidates, key);
		if (!c)
			return NULL;
	}
	if (c->packets) {
		apart = p->seq - (__u16)c->max + NEAR;
		if (c->payload_type != p->payload_type || apart > 2 * NEAR) {
			bpf_map_update_elem(&candidates, key, &state->fresh, BPF_ANY);
			return bpf_map_lookup_elem(&candidates, key);
		}
	}
	if (c->unique + 1 < AGREE)
		return c;
	c->lock = 0;
	if (bpf_map_update_elem(&flows, key, c, BPF_NOEXIST) && !bpf_map_lookup_elem(&flows, key)) {
		state->refused++;
		return NULL;
	}
	bpf_map_delete_elem(&candidates, key);
	return bpf_map_lookup_elem(&flows, key);
}

#define TRIES 16

/*
 * Counts a packet in its flow, if it belongs to one.
 *
 * Two CPUs may have packets of one flow at once, and filters of sockets may not
 * take the kernel's own locks. Who holds this one can't be interrupted by
 * another packet, so it is short.
 */
__noinline int count(struct flow_key *of, struct packet *p)
{
	struct flow_key on_stack, *key = &on_stack;
	struct state *state;
	struct flow *f;
	__u32 zero = 0;
	int i;

	if (!of || !p)
		return 0;
	on_stack = *of; /* Linux 6.1 takes no other memory for a key */
	state = bpf_map_lookup_elem(&states, &zero);
	if (!state)
		return 0;
	f = bpf_map_lookup_elem(&flows, key);
	if (!f) {
		if (!rates[p->payload_type & 127] || !watched(key->sport, key->dport, 0))
			return 0;
		f = explicit_ports ? make_flow(state, key) : candidate(state, key, p);
		if (!f)
			return 0;
	}
#pragma unroll
	for (i = 0; i < TRIES; i++)
		if (!__sync_val_compare_and_swap(&f->lock, 0, 1))
			break;
	if (i == TRIES) {
		__sync_fetch_and_add(&f->contended, 1);
		return 0;
	}
	f->changed++;
	account(state, key, f, p);
	f->version = f->changed;
	__sync_lock_test_and_set(&f->lock, 0);
	return 0;
}

#define MAX_SEGMENTS 128 /* UDP_MAX_SEGMENTS */

/* What the walk over segments carries along. */
struct walker {
	struct __sk_buff *skb;
	struct flow_key *key;
	struct packet *p;
	__u64 at, left, size, overhead; /* of 8 bytes: see struct rtcp_walk */
};

__noinline int count_segment(struct __sk_buff *skb, struct flow_key *key, struct packet *p, __u32 at, __u32 len)
{
	__u8 rtp[RTP_HEADER];

	if (!key || !p)
		return 0;
	if (len < RTP_HEADER || bpf_skb_load_bytes(skb, p->base + at, rtp, sizeof(rtp)))
		return 0;
	if (rtp[0] >> 6 != 2 || is_rtcp(rtp[1]))
		return 0;
	p->marker = rtp[1] >> 7;
	p->payload_type = rtp[1] & 0x7f;
	p->seq = bpf_ntohs(*(__u16 *)(rtp + 2));
	p->timestamp = bpf_ntohl(*(__u32 *)(rtp + 4));
	p->carries = video(p->payload_type) ? carried(skb, p->tcx, at, len, rtp[0]) : 0;
	key->ssrc = bpf_ntohl(*(__u32 *)(rtp + 8));
	return count(key, p);
}

static int next_segment(__u32 i, struct walker *w)
{
	__u32 len = w->left < w->size ? w->left : w->size;

	w->p->len = w->overhead + len;
	count_segment(w->skb, w->key, w->p, w->at, len);
	w->left -= len;
	w->at += len;
	return !w->left; /* ends the loop */
}

/*
 * A packet of the kernel's that is several on the wire (UDP_SEGMENT, UDP_GRO):
 * each segment has an RTP header of its own.
 */
__noinline int segments(struct __sk_buff *skb, struct flow_key *key, struct packet *p, struct head *h, __u32 left)
{
	struct walker w = {.skb = skb, .key = key, .p = p, .left = left, .size = skb->gso_size};

	if (!key || !p || !h)
		return 0;
	p->base = base_of(skb, h->tcx);
	w.at = w.overhead = h->at + 8;
	bpf_loop(MAX_SEGMENTS, next_segment, &w, 0);
	return 0;
}

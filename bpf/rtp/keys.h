/*
 * Key frames of H.264 (RFC 6184) and H.265 (RFC 7798), by the first bytes of the
 * payload. sidecar/rtp does the same for capture files.
 */

#define VIDEO_RATE 90000 /* Hz; no other payload is looked at */

/* What a packet's payload may be, as of one codec. */
#define UNIT 1	/* a NAL unit, or several, or a part of one */
#define SLICE 2 /* of a picture */
#define KEY 4	/* a key frame begins or goes on */
#define FIRST 8 /* of a picture: nothing of it comes before */
#define OF_ONE 15

/* Both readings of a payload: which of them counts is the flow's to say. */
#define READ 0x100 /* there was payload to look at */
#define AS_H265 4  /* shift; H.264's reading is in the lowest bits */

#define BIT(n) (1ull << (n))
#define BITS(from, to) (BIT((to) + 1) - BIT(from))

/* A table of kinds, a bit each, in place of branches: paths would multiply. */
static __always_inline __u32 unit_of(__u32 kind, __u64 units, __u64 slices, __u64 keys, __u64 before, __u8 next)
{
	__u32 is = units >> kind & 1, slice = slices >> kind & is;

	return is | slice << 1 | (keys >> kind & is) << 2 | ((before >> kind & is) | (slice & next >> 7)) << 3;
}

/*
 * H.264, 7.4.1, with what nal_ref_idc has to be. Parameter sets and the like come
 * before a picture; a slice is its first if first_mb_in_slice is 0, which is one
 * bit, set, in the byte after the header (7.3.3).
 */
static __always_inline __u32 unit_h264(__u8 header, __u8 next)
{
	__u64 units = header & 0x60 ? BIT(1) | BIT(5) | BIT(7) | BIT(8) : BIT(1) | BIT(6) | BITS(9, 12);

	if (header & 0x80)
		return 0;
	return unit_of(header & 0x1f, units, BIT(1) | BIT(5), BIT(5) | BIT(7), BITS(6, 9), next);
}

/* H.265, table 7-1; a slice begins with first_slice_segment_in_pic_flag (7.3.6.1). */
static __always_inline __u32 unit_h265(__u32 kind, __u8 next)
{
	return unit_of(kind & 0x3f, BITS(0, 9) | BITS(16, 21) | BITS(32, 40), BITS(0, 9) | BITS(16, 21), BITS(16, 21),
		       BITS(32, 35) | BIT(39), next);
}

/* Whether two bytes may be a NAL unit's header of the base layer (H.265, 7.4.2.2). */
static __always_inline bool header_h265(__u8 *b) { return !(b[0] & 0x81) && !(b[1] >> 3) && b[1]; }

#define STAP_A 24 /* RFC 6184 */
#define FU_A 28
#define AP 48 /* RFC 7798 */
#define FU 49
#define BOTH_ENDS 0xc0 /* a fragment that is first and last; neither RFC allows it */

#define UNITS 4 /* of an aggregate: key frames begin with their parameter sets */

/* What the walk over an aggregate carries along. All of 8 bytes: see struct rtcp_walk. */
struct aggregate {
	__u64 tcx, at, left, h265, all;
};

/* Looks at one unit, which has its size before it. Returns true at the end. */
__noinline int next_unit(struct __sk_buff *skb, struct aggregate *a)
{
	__u32 size, unit;
	__u8 b[5];

	if (!a || !a->left)
		return 1;
	b[4] = 0;
	if (a->left < 4 ||
	    (a->left == 4 ? load_at(skb, a->tcx, a->at, b, 4) : load_at(skb, a->tcx, a->at, b, sizeof(b))))
		goto wrong;
	size = b[0] << 8 | b[1];
	if (size < 2 || 2 + size > a->left)
		goto wrong;
	if (!a->h265)
		unit = unit_h264(b[2], b[3]);
	else
		unit = header_h265(b + 2) ? unit_h265(b[2] >> 1, b[4]) : 0;
	if (!unit)
		goto wrong;
	a->all |= unit;
	a->at += 2 + size;
	a->left -= 2 + size;
	return 0;
wrong:
	a->all = 0;
	return 1;
}

__noinline int units_of(struct __sk_buff *skb, __u32 tcx, __u32 at, __u32 left, __u32 h265)
{
	struct aggregate a = {.tcx = tcx, .at = at, .left = left, .h265 = h265};

#pragma unroll
	for (int i = 0; i < UNITS; i++)
		if (next_unit(skb, &a))
			break;
	return a.all;
}

/*
 * Where media begins in an RTP packet of so many bytes at a place: after its
 * sources and its extension (RFC 3550, 5.1 and 5.3.1). Padding is taken from the
 * length. Returns the length of the media in the upper half, 0 if there is none.
 */
__noinline __u64 media_of(struct __sk_buff *skb, __u32 tcx, __u32 at, __u32 len, __u32 first)
{
	__u32 skip = RTP_HEADER + (first & 15) * 4;
	__u8 b[4];

	if (first & 0x10) {
		if (len < skip + sizeof(b) || load_at(skb, tcx, at + skip, b, sizeof(b)))
			return 0;
		skip += sizeof(b) + 4 * (b[2] << 8 | b[3]);
	}
	if (len <= skip)
		return 0;
	if (first & 0x20) {
		if (load_at(skb, tcx, at + len - 1, b, 1))
			return 0;
		if (len <= skip + b[0])
			return 0;
		len -= b[0];
	}
	return (__u64)(len - skip) << 32 | (at + skip);
}

/* What of a unit a fragment is, whose header says in its highest bit whether it is the first. */
static __always_inline __u32 begins(__u32 unit, __u8 header) { return unit & ~(FIRST & ~(header >> 7) << 3); }

/* Both readings of an RTP packet's payload; 0 if there is too little of it. */
__noinline int carried(struct __sk_buff *skb, __u32 tcx, __u32 at, __u32 len, __u32 first)
{
	__u64 media = first & 0x3f ? media_of(skb, tcx, at, len, first)
				   : (__u64)(len - RTP_HEADER) << 32 | (at + RTP_HEADER);
	__u32 size = media >> 32, h264, h265 = 0;
	__u8 b[4];

	at = media;
	b[3] = 0;
	if (size < 3 || (size == 3 ? load_at(skb, tcx, at, b, 3) : load_at(skb, tcx, at, b, sizeof(b))))
		return 0;
	if ((b[0] & 0x9f) == STAP_A)
		h264 = units_of(skb, tcx, at + 1, size - 1, 0);
	else if ((b[0] & 0x9f) != FU_A)
		h264 = unit_h264(b[0], b[1]);
	else if (b[1] & 0x20 || b[1] >= BOTH_ENDS)
		h264 = 0;
	else
		h264 = begins(unit_h264((b[0] & 0x60) | (b[1] & 0x1f), b[2]), b[1]);
	if (!header_h265(b))
		;
	else if (b[0] >> 1 == AP)
		h265 = units_of(skb, tcx, at + 2, size - 2, 1);
	else if (b[0] >> 1 != FU)
		h265 = unit_h265(b[0] >> 1, b[2]);
	else if (b[2] < BOTH_ENDS)
		h265 = begins(unit_h265(b[2], b[3]), b[2]);
	return READ | h264 | h265 << AS_H265;
}

enum codec {
	NO_CODEC,
	H264,
	H265,
};

#define RECOGNISED 16 /* packets that have to agree on a codec; keys.go has it, too */
#define SURPLUS 16    /* so many more are kept in favour of it */
#define OBJECTION 8   /* what a packet that can't be of it costs */

/* A flow's key frames. */
struct keys {
	__u8 codec; /* the likely one */
	__u8 score;
	__u8 read;
	__u8 pad;
	__u32 timestamp; /* of the newest, as all that follow */
	__u64 count;
	__u64 ktime;
	__u64 frames;
};

/* Takes what a packet carries; frames are the flow's with it. */
__noinline int take_keys(struct keys *k, __u32 carries, __u32 timestamp, __u64 frames, __u64 now)
{
	__u32 h264 = carries & OF_ONE, h265 = carries >> AS_H265 & OF_ONE, codec, unit;

	if (!k)
		return 0;
	k->read = 1;
	/* A few bytes fit both: the likely one goes first. */
	codec = h264 && (k->codec == H264 || !h265) ? H264 : h265 ? H265 : NO_CODEC;
	unit = codec == H264 ? h264 : h265;
	if (codec != k->codec) {
		if (k->score > OBJECTION) {
			k->score -= OBJECTION;
			return 0;
		}
		k->codec = codec;
		k->score = 0;
		k->timestamp = 0;
		k->count = 0;
		k->ktime = 0;
		k->frames = 0;
	}
	if (unit & SLICE && k->score < RECOGNISED + SURPLUS)
		k->score++;
	if (unit & KEY && (!k->count || k->timestamp != timestamp)) {
		k->count++;
		k->timestamp = timestamp;
		k->ktime = now;
		k->frames = frames;
	}
	return 0;
}

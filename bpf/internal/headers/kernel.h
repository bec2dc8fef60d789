/*
 * The kernel's types that the programs read, by hand: only the fields that
 * somebody reads. preserve_access_index makes each access a CO-RE relocation,
 * so offsets here mean nothing and one object serves all kernels. A field that
 * a kernel lacks is asked for with bpf_core_field_exists.
 */
#ifndef DEBUGSIDECAR_KERNEL_H
#define DEBUGSIDECAR_KERNEL_H

#include <stdbool.h>

typedef unsigned char __u8;
typedef signed char __s8;
typedef unsigned short __u16;
typedef short __s16;
typedef unsigned int __u32;
typedef int __s32;
typedef unsigned long long __u64;
typedef long long __s64;
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u64 __be64;
typedef __u32 __wsum;

/* include/uapi/linux/bpf.h */
enum bpf_map_type {
	BPF_MAP_TYPE_HASH = 1,
	BPF_MAP_TYPE_ARRAY = 2,
	BPF_MAP_TYPE_PERCPU_HASH = 5,
	BPF_MAP_TYPE_PERCPU_ARRAY = 6,
	BPF_MAP_TYPE_LRU_HASH = 9,
	BPF_MAP_TYPE_RINGBUF = 27,
	BPF_MAP_TYPE_PROG_ARRAY = 3,
};

enum {
	BPF_ANY = 0,
	BPF_NOEXIST = 1,
	BPF_EXIST = 2,
};

enum {
	BPF_RB_NO_WAKEUP = 1,
	BPF_RB_FORCE_WAKEUP = 2,
	BPF_RB_AVAIL_DATA = 0,
};

enum bpf_hdr_start_off {
	BPF_HDR_START_MAC = 0,
	BPF_HDR_START_NET = 1,
};

struct bpf_raw_tracepoint_args {
	__u64 args[0];
};

#define __ksubset __attribute__((preserve_access_index))

/* fs/kernfs, kernel/cgroup: which control group a socket or a task is in */
struct kernfs_node {
	__u64 id;
} __ksubset;

struct cgroup {
	int level;
	struct kernfs_node *kn;
	struct cgroup *ancestors[];
} __ksubset;

struct css_set {
	struct cgroup *dfl_cgrp;
} __ksubset;

struct sock_cgroup_data {
	struct cgroup *cgroup;
} __ksubset;

/* network namespaces */
struct ns_common {
	unsigned int inum;
} __ksubset;

struct net {
	struct ns_common ns;
} __ksubset;

typedef struct {
	struct net *net;
} __ksubset possible_net_t;

struct nsproxy {
	struct net *net_ns;
} __ksubset;

struct task_struct {
	int pid;
	int tgid;
	struct nsproxy *nsproxy;
	struct css_set *cgroups;
} __ksubset;

/* sockets and packets */
struct sock_common {
	unsigned short skc_family;
	volatile unsigned char skc_state;
	__be16 skc_dport;
	__u16 skc_num;
	possible_net_t skc_net;
} __ksubset;

struct sock {
	struct sock_common __sk_common;
	__u16 sk_protocol;
	struct sock_cgroup_data sk_cgrp_data;
} __ksubset;

struct net_device {
	int ifindex;
	possible_net_t nd_net;
} __ksubset;

struct sk_buff {
	struct net_device *dev;
	struct sock *sk;
	unsigned int len;
	__be16 protocol;
	__u16 network_header;
	unsigned int tail;
	unsigned char *head;
} __ksubset;

/* include/media/videobuf2-core.h, videobuf2-v4l2.h: in modules, mostly */
enum vb2_buffer_state {
	VB2_BUF_STATE_DEQUEUED,
	VB2_BUF_STATE_IN_REQUEST,
	VB2_BUF_STATE_PREPARING,
	VB2_BUF_STATE_QUEUED,
	VB2_BUF_STATE_ACTIVE,
	VB2_BUF_STATE_DONE,
	VB2_BUF_STATE_ERROR,
};

struct vb2_queue {
	unsigned int type;
} __ksubset;

struct vb2_buffer {
	enum vb2_buffer_state state;
} __ksubset;

struct vb2_v4l2_buffer {
	struct vb2_buffer vb2_buf;
	__u32 sequence;
} __ksubset;

/* include/uapi/linux/bpf.h: a packet as filters of sockets and interfaces see it */
struct __sk_buff {
	__u32 len;
	__u32 pkt_type;
	__u32 mark;
	__u32 queue_mapping;
	__u32 protocol;
	__u32 vlan_present;
	__u32 vlan_tci;
	__u32 vlan_proto;
	__u32 priority;
	__u32 ingress_ifindex;
	__u32 ifindex;
	__u32 tc_index;
	__u32 cb[5];
	__u32 hash;
	__u32 tc_classid;
	__u32 data;
	__u32 data_end;
	__u32 napi_id;
	__u32 family;
	__u32 remote_ip4;
	__u32 local_ip4;
	__u32 remote_ip6[4];
	__u32 local_ip6[4];
	__u32 remote_port;
	__u32 local_port;
	__u32 data_meta;
	__u64 flow_keys;
	__u64 tstamp;
	__u32 wire_len;
	__u32 gso_segs;
	__u64 sk;
	__u32 gso_size;
};

#endif

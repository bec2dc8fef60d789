package probe

import (
	"github.com/debugsidecar/debugsidecar/sidecar/push"
)

// openPush makes what brings alerts to receivers, if there are any.
func (p *Probe) openPush() (err error) {
	o := p.options
	var receivers []push.Receiver
	for _, url := range o.Alertmanagers {
		receivers = append(receivers, push.Receiver{Kind: push.Alertmanager, URL: url, TokenFile: o.TokenFile})
	}
	for _, url := range o.Webhooks {
		receivers = append(receivers, push.Receiver{Kind: push.Webhook, URL: url, TokenFile: o.TokenFile})
	}
	if o.Receivers != "" {
		more, err := push.ReadReceivers(o.Receivers)
		if err != nil {
			return err
		}
		receivers = append(receivers, more...)
	}
	if len(receivers) == 0 {
		return nil
	}
	labels := map[string]string{}
	for name, value := range map[string]string{"pod": o.Pod, "namespace": o.Namespace} {
		if value != "" {
			labels[name] = value
		}
	}
	p.pusher, err = push.New(push.Options{Receivers: receivers, Labels: labels, Log: p.log})
	return err
}

package reach

import (
	"encoding/json"
	"net/http"

	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// maxBody is far above what the review of a probe's ConfigMap takes.
const maxBody = 1 << 20

// Handler answers the reviews of probes. It allows everything, also what is no
// probe: it is there to be reached and for nothing else.
func Handler(pod string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var review struct {
			Request struct {
				UID    string `json:"uid"`
				Object struct {
					Metadata struct {
						Labels map[string]string `json:"labels"`
					} `json:"metadata"`
				} `json:"object"`
			} `json:"request"`
		}
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody)).Decode(&review); err != nil {
			http.Error(w, "debugsidecar: decoding the AdmissionReview: "+err.Error(), http.StatusBadRequest)
			return
		}
		answer := admissionv1.AdmissionReview{
			TypeMeta: metav1.TypeMeta{APIVersion: "admission.k8s.io/v1", Kind: "AdmissionReview"},
			Response: &admissionv1.AdmissionResponse{Allowed: true},
		}
		answer.Response.UID = types.UID(review.Request.UID)
		answer.Response.Warnings = []string{warning(review.Request.Object.Metadata.Labels[Label], pod)}
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(answer) //nolint:errcheck // whoever asked has gone
	})
}

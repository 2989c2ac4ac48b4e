package cloud_test

import (
	"crypto/rsa"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/wechatpay-apiv3/wechatpay-go/core"
	"github.com/wechatpay-apiv3/wechatpay-go/core/auth/verifiers"
	"github.com/wechatpay-apiv3/wechatpay-go/core/downloader"
	"github.com/wechatpay-apiv3/wechatpay-go/core/option"
	"github.com/wechatpay-apiv3/wechatpay-go/services/certificates"

	"github.com/keyward/keyward/internal/cloud/certificate"
	"github.com/keyward/keyward/internal/cloud/certificate/certificatetest"
	"github.com/keyward/keyward/internal/cloud/wechatpay/wechatpaytest"
)

// elsewhere sends requests to the simulator instead of WeChat Pay, whose address is fixed
// in the SDK.
type elsewhere struct{ to *url.URL }

func (e elsewhere) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.URL.Scheme, r.URL.Host, r.Host = e.to.Scheme, e.to.Host, e.to.Host
	return http.DefaultTransport.RoundTrip(r)
}

// WeChat Pay's own SDK downloads, decrypts and verifies what the simulator answers, before
// the replacement of a certificate and while there are two.
func TestWechatPaySDK(t *testing.T) {
	const mchid, apiKey = "1900000001", "fakefakefakefakefakefakefakefake"
	merchant := certificatetest.Issue(t, certificatetest.Template{Name: mchid, Algorithm: "RSA"}, nil)
	key, at := certificatetest.Key(t, "RSA"), time.Now()
	server := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(server.Close)
	to, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	for _, age := range []time.Duration{0, 5*365*24*time.Hour - 8*24*time.Hour, 5*365*24*time.Hour - 2*24*time.Hour} {
		at = time.Now().Add(-age)
		service := wechatpaytest.New(t, mchid, []byte(apiKey), merchant.Certificate, func() time.Time { return at })
		service.Key = key
		service.Current() // the first certificate is as old as that
		at = time.Now()
		server.Config.Handler = service
		client := func(more ...core.ClientOption) *core.Client {
			options := append([]core.ClientOption{
				option.WithMerchantCredential(mchid, certificate.Serial(merchant.Certificate), merchant.Key.(*rsa.PrivateKey)),
				option.WithHTTPClient(&http.Client{Transport: elsewhere{to}}),
			}, more...)
			c, err := core.NewClient(t.Context(), options...)
			if err != nil {
				t.Fatal(err)
			}
			return c
		}
		d, err := downloader.NewCertificateDownloaderWithClient(t.Context(), client(option.WithoutValidator()), apiKey)
		if err != nil {
			t.Fatalf("at the age of %s: %v", age, err)
		}
		var want, got []string
		for _, c := range service.Current() {
			want = append(want, certificate.Serial(c))
		}
		certs := d.GetAll(t.Context())
		for serial := range certs {
			got = append(got, serial)
		}
		slices.Sort(want)
		slices.Sort(got)
		if diff := cmp.Diff(want, got); diff != "" || len(want) != min(2, 1+int(age/time.Hour)) {
			t.Errorf("at the age of %s: %s", age, diff)
		}
		// A second time, verified with the certificates of the first.
		api := certificates.CertificatesApiService{Client: client(option.WithVerifier(verifiers.NewSHA256WithRSAVerifier(d)))}
		if _, _, err := api.DownloadCertificates(t.Context()); err != nil {
			t.Errorf("at the age of %s: %v", age, err)
		}
	}
	wrong, err := core.NewClient(t.Context(), option.WithMerchantCredential("1900000002", certificate.Serial(merchant.Certificate), merchant.Key.(*rsa.PrivateKey)),
		option.WithHTTPClient(&http.Client{Transport: elsewhere{to}}), option.WithoutValidator())
	if err != nil {
		t.Fatal(err)
	}
	api := certificates.CertificatesApiService{Client: wrong}
	if _, _, err := api.DownloadCertificates(t.Context()); !core.IsAPIError(err, "SIGN_ERROR") || !strings.Contains(err.Error(), "401") {
		t.Errorf("another merchant: %v", err)
	}
}

package channeltest

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/keyward/keyward/internal/cloud/tencent"
	"github.com/keyward/keyward/internal/lazy"
	"github.com/keyward/keyward/internal/material"
)

// An SMS is a message that left. The gateways send whatever they are asked to, twice as
// well as once.
type SMS struct {
	ID     string // what the sender keeps beside it
	Mobile string // E.164
	Values []string
	At     time.Time
	Failed bool // as the network found out
}

// A Gateway is what both gateways have in common.
type Gateway struct {
	ID, Secret string // of the access key
	Sign       string
	Template   string
	Now        func() time.Time
	Lag        time.Duration // until the books know of a message

	log  Log
	sent []SMS // guarded by log
	fail string
}

// Sent answers the messages that left.
func (g *Gateway) Sent() []SMS {
	g.log.mu.Lock()
	defer g.log.mu.Unlock()
	return slices.Clone(g.sent)
}

// Fail makes the gateway refuse everything with a code; "" ends that.
func (g *Gateway) Fail(code string) {
	g.log.mu.Lock()
	defer g.log.mu.Unlock()
	g.fail = code
}

// booked answers what the books know of a number since a time.
func (g *Gateway) booked(mobile string, since time.Time) []SMS {
	var out []SMS
	for _, s := range g.sent {
		if s.Mobile == mobile && !s.At.Before(since) && g.Now().Sub(s.At) >= g.Lag {
			out = append(out, s)
		}
	}
	return out
}

// A TencentSMS is Tencent Cloud's gateway.
type TencentSMS struct {
	Gateway
	App string
}

// ServeHTTP implements http.Handler.
func (t *TencentSMS) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	t.log.mu.Lock()
	defer t.log.mu.Unlock()
	body, err := io.ReadAll(r.Body)
	refuse := func(code string) {
		write(w, http.StatusOK, map[string]any{"Response": map[string]any{"RequestId": "r1", "Error": map[string]string{"Code": code, "Message": "refused"}}})
	}
	seconds, bad := strconv.ParseInt(r.Header.Get("X-TC-Timestamp"), 10, 64)
	again, _ := http.NewRequest(http.MethodPost, "http://"+r.Host+"/", nil) // the host comes from a request
	again.Header.Set("Content-Type", r.Header.Get("Content-Type"))
	again.Header.Set("X-TC-Action", r.Header.Get("X-TC-Action"))
	tencent.Signer{SecretID: t.ID, SecretKey: material.NewBytes([]byte(t.Secret))}.Sign(again, "sms", body, time.Unix(seconds, 0))
	switch {
	case err != nil || bad != nil || r.Header.Get("Authorization") != again.Header.Get("Authorization"):
		refuse("AuthFailure.SignatureFailure")
	case t.Now().Sub(time.Unix(seconds, 0)).Abs() > 5*time.Minute:
		refuse("AuthFailure.SignatureExpire")
	case r.Header.Get("X-TC-Version") != "2021-01-11" || r.Header.Get("X-TC-Region") == "":
		refuse("InvalidParameter")
	case t.fail != "" && !strings.HasPrefix(t.fail, "status:"):
		refuse(t.fail)
	case r.Header.Get("X-TC-Action") == "SendSms":
		t.send(w, body, refuse)
	case r.Header.Get("X-TC-Action") == "PullSmsSendStatusByPhoneNumber":
		t.pull(w, body, refuse)
	default:
		refuse("InvalidAction")
	}
}

func strict(body []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	return d.Decode(into)
}

func (t *TencentSMS) send(w http.ResponseWriter, body []byte, refuse func(string)) {
	var in struct {
		PhoneNumberSet                    []string
		SmsSdkAppId, SignName, TemplateId string
		TemplateParamSet                  []string
		SessionContext                    string
	}
	if strict(body, &in) != nil || len(in.PhoneNumberSet) != 1 || len(in.SessionContext) > 512 || len(in.TemplateParamSet) != 4 || slices.Contains(in.TemplateParamSet, "") {
		refuse("InvalidParameter")
		return
	}
	code := "Ok"
	switch mobile := in.PhoneNumberSet[0]; {
	case in.SmsSdkAppId != t.App:
		code = "UnauthorizedOperation.SmsSdkAppIdVerifyFail"
	case in.SignName != t.Sign:
		code = "FailedOperation.SignatureIncorrectOrUnapproved"
	case in.TemplateId != t.Template:
		code = "FailedOperation.TemplateIncorrectOrUnapproved"
	case !strings.HasPrefix(mobile, "+861"):
		code = "InvalidParameterValue.IncorrectPhoneNumber"
	case strings.HasPrefix(t.fail, "status:"):
		code = strings.TrimPrefix(t.fail, "status:")
	default:
		t.sent = append(t.sent, SMS{ID: in.SessionContext, Mobile: mobile, Values: in.TemplateParamSet, At: t.Now()})
	}
	write(w, http.StatusOK, map[string]any{"Response": map[string]any{"RequestId": "r1", "SendStatusSet": []map[string]any{{
		"SerialNo": fmt.Sprintf("2028:%d", len(t.sent)), "PhoneNumber": in.PhoneNumberSet[0], "Fee": 1, "SessionContext": in.SessionContext, "Code": code, "Message": code, "IsoCode": "CN",
	}}}})
}

func (t *TencentSMS) pull(w http.ResponseWriter, body []byte, refuse func(string)) {
	var in struct {
		BeginTime, EndTime       int64
		Offset, Limit            int
		PhoneNumber, SmsSdkAppId string
	}
	if strict(body, &in) != nil || in.Offset != 0 || in.Limit < 1 || in.Limit > 100 || in.SmsSdkAppId != t.App || in.BeginTime >= in.EndTime {
		refuse("InvalidParameter")
		return
	}
	set := []map[string]any{}
	for _, s := range t.booked(in.PhoneNumber, time.Unix(in.BeginTime, 0)) {
		status := map[bool]string{false: "SUCCESS", true: "FAIL"}[s.Failed]
		set = append(set, map[string]any{"SerialNo": "2028:1", "PhoneNumber": s.Mobile, "ReportStatus": status, "Description": "DELIVRD", "SessionContext": s.ID, "UserReceiveTime": s.At.Unix()})
	}
	write(w, http.StatusOK, map[string]any{"Response": map[string]any{"RequestId": "r1", "PullSmsSendStatusSet": set}})
}

// An AlibabaSMS is Alibaba Cloud's gateway.
type AlibabaSMS struct{ Gateway }

// ServeHTTP implements http.Handler.
func (a *AlibabaSMS) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.log.mu.Lock()
	defer a.log.mu.Unlock()
	q := r.URL.Query()
	at, err := time.Parse("2006-01-02T15:04:05Z", r.Header.Get("x-acs-date"))
	switch {
	case !a.signed(r):
		write(w, http.StatusBadRequest, map[string]string{"Code": "SignatureDoesNotMatch", "Message": "Specified signature is not matched", "RequestId": "r1"})
	case err != nil || a.Now().Sub(at).Abs() > 15*time.Minute:
		write(w, http.StatusBadRequest, map[string]string{"Code": "InvalidTimeStamp.Expired", "Message": "expired", "RequestId": "r1"})
	case a.fail != "":
		write(w, http.StatusOK, map[string]string{"Code": a.fail, "Message": "触发天级流控Permits:40", "RequestId": "r1"})
	case r.Header.Get("x-acs-version") == "2017-05-25" && r.Header.Get("x-acs-action") == "SendSms":
		write(w, http.StatusOK, a.send(q))
	case r.Header.Get("x-acs-version") == "2017-05-25" && r.Header.Get("x-acs-action") == "QuerySendDetails":
		write(w, http.StatusOK, a.details(q))
	default:
		write(w, http.StatusNotFound, map[string]string{"Code": "InvalidAction.NotFound", "Message": "no such action", "RequestId": "r1"})
	}
}

var acs3 = lazy.Regexp(`^ACS3-HMAC-SHA256 Credential=([^,]+),SignedHeaders=([^,]+),Signature=([0-9a-f]{64})$`)

// signed verifies ACS3-HMAC-SHA256 as its documentation has it.
func (a *AlibabaSMS) signed(r *http.Request) bool {
	m := acs3().FindStringSubmatch(r.Header.Get("Authorization"))
	if m == nil || m[1] != a.ID {
		return false
	}
	var headers strings.Builder
	for _, name := range strings.Split(m[2], ";") {
		value := r.Header.Get(name)
		if name == "host" {
			value = r.Host
		}
		headers.WriteString(name + ":" + value + "\n")
	}
	pairs := strings.ReplaceAll(r.URL.Query().Encode(), "+", "%20")
	text := strings.Join([]string{r.Method, "/", pairs, headers.String(), m[2], r.Header.Get("x-acs-content-sha256")}, "\n")
	digest := sha256.Sum256([]byte(text))
	mac := hmac.New(sha256.New, []byte(a.Secret))
	mac.Write([]byte("ACS3-HMAC-SHA256\n" + hex.EncodeToString(digest[:])))
	return hex.EncodeToString(mac.Sum(nil)) == m[3]
}

func (a *AlibabaSMS) send(q url.Values) map[string]any {
	var values map[string]string
	code := "OK"
	switch err := strict([]byte(q.Get("TemplateParam")), &values); {
	case len(q) != 5 || err != nil:
		code = "isv.INVALID_PARAMETERS"
	case q.Get("SignName") != a.Sign:
		code = "isv.SMS_SIGNATURE_ILLEGAL"
	case q.Get("TemplateCode") != a.Template:
		code = "isv.SMS_TEMPLATE_ILLEGAL"
	case len(values) != 4 || values["product"] == "" || values["subject"] == "" || values["left"] == "" || values["ticket"] == "":
		code = "isv.TEMPLATE_MISSING_PARAMETERS"
	case !regexp.MustCompile(`^1\d{10}$`).MatchString(q.Get("PhoneNumbers")):
		code = "isv.MOBILE_NUMBER_ILLEGAL"
	}
	for _, v := range values {
		if strings.ContainsAny(v, "./") {
			code = "isv.PARAM_NOT_SUPPORT_URL"
		} else if len([]rune(v)) > 35 {
			code = "isv.PARAM_LENGTH_LIMIT"
		}
	}
	answer := map[string]any{"Code": code, "Message": code, "RequestId": "r1"}
	if code == "OK" {
		a.sent = append(a.sent, SMS{ID: q.Get("OutId"), Mobile: "+86" + q.Get("PhoneNumbers"), Values: []string{values["product"], values["subject"], values["left"], values["ticket"]}, At: a.Now()})
		answer["BizId"] = fmt.Sprintf("9006195272%04d^0", len(a.sent))
	}
	return answer
}

func (a *AlibabaSMS) details(q url.Values) map[string]any {
	day, err := time.ParseInLocation("20060102", q.Get("SendDate"), time.FixedZone("UTC+8", 8*60*60))
	size, bad := strconv.Atoi(q.Get("PageSize"))
	page, wrong := strconv.Atoi(q.Get("CurrentPage"))
	if err != nil || bad != nil || wrong != nil || size < 1 || size > 50 || page < 1 || a.Now().Sub(day) > 31*24*time.Hour {
		return map[string]any{"Code": "isv.INVALID_PARAMETERS", "Message": "bad", "RequestId": "r1"}
	}
	var all []map[string]any
	for _, s := range a.booked("+86"+q.Get("PhoneNumber"), day) {
		if s.At.Before(day.AddDate(0, 0, 1)) {
			all = append(all, map[string]any{"OutId": s.ID, "PhoneNum": q.Get("PhoneNumber"), "SendStatus": map[bool]int{false: 3, true: 2}[s.Failed], "TemplateCode": a.Template, "ErrCode": "DELIVERED"})
		}
	}
	from := min((page-1)*size, len(all))
	return map[string]any{"Code": "OK", "Message": "OK", "RequestId": "r1", "TotalCount": len(all), "SmsSendDetailDTOs": map[string]any{"SmsSendDetailDTO": append([]map[string]any{}, all[from:min(from+size, len(all))]...)}}
}

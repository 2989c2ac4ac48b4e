package alibaba

import (
	"context"
	"encoding/base64"
	"slices"

	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/key"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/rotation/engine"
	"github.com/keyward/keyward/internal/secret"
	"github.com/keyward/keyward/internal/server/alibaba/rpc"
)

// generic is the type of every secret here. The others of this API stand for what Alibaba
// Cloud rotates by itself; here a rotation plan rotates what any secret holds.
const generic = "Generic"

// secretData reads SecretData, which is base64 if SecretDataType says binary.
func secretData(v *rpc.Values) (secret.Kind, material.Bytes) {
	kind := secret.Kind(v.Text("SecretDataType"))
	if kind == secret.Binary {
		return kind, v.Secret("SecretData")
	}
	return kind, material.NewBytes([]byte(v.Need("SecretData")))
}

// rotates are the members of answers that tell when a secret is replaced.
type rotates struct {
	AutomaticRotation string
	LastRotationDate  string `json:",omitempty" xml:",omitempty"`
	NextRotationDate  string `json:",omitempty" xml:",omitempty"`
	RotationInterval  string `json:",omitempty" xml:",omitempty"`
}

func rotatesOf(s engine.Schedule) rotates {
	out := rotates{AutomaticRotation: "Disabled", LastRotationDate: date(s.Last), NextRotationDate: date(s.Next)}
	if s.Auto {
		out.AutomaticRotation = "Enabled"
	}
	if s.Planned && s.Every > 0 {
		out.RotationInterval = inSeconds(s.Every)
	}
	return out
}

func createSecret(d *Dialect, c *authz.Call, v *rpc.Values) act {
	if v.Boolean("EnableAutomaticRotation") {
		v.Fail(fault.UnsupportedOperation.New("Make the secret first, and then a plan that rotates it, with keyward rotation plan create."))
	}
	if kind := v.Text("SecretType"); kind != "" && kind != generic {
		v.Fail(fault.UnsupportedOperation.New("This release has secrets of the type %s only; a rotation plan rotates what any of them holds.", generic))
	}
	in := secret.CreateInput{
		Name: v.Need("SecretName"), Version: v.Need("VersionId"), Key: v.Text("EncryptionKeyId"),
		Instance: v.Text("DKMSInstanceId"), Policy: v.Text("Policy"), Description: v.Text("Description"), Tags: v.Tags("Tags"),
	}
	in.Kind, in.Data = secretData(v)
	return func(ctx context.Context) (rpc.Response, error) {
		defer in.Data.Zero()
		s, err := d.Secrets.Create(ctx, c, in)
		return &struct {
			rpc.Reply
			rotates
			Arn            string
			DKMSInstanceId string `json:",omitempty" xml:",omitempty"`
			SecretName     string
			SecretType     string
			VersionId      string
		}{
			rotates: rotatesOf(engine.Schedule{}), Arn: d.Secrets.ARN(c.Account, s.Name), DKMSInstanceId: in.Instance,
			SecretName: s.Name, SecretType: generic, VersionId: s.At(secret.Current),
		}, err
	}
}

// secretReply answers the name of a secret only.
type secretReply struct {
	rpc.Reply
	SecretName string
}

func named(s secret.Secret, err error) (rpc.Response, error) {
	return &secretReply{SecretName: s.Name}, err
}

type secretTag struct{ TagKey, TagValue string }

// secretTags are the tags of a secret, if they were asked for.
type secretTags struct{ Tag []secretTag }

func tagsOf(s secret.Secret, fetch bool) *secretTags {
	if !fetch {
		return nil
	}
	out := &secretTags{[]secretTag{}}
	for _, t := range s.Tags {
		out.Tag = append(out.Tag, secretTag{t.Key, t.Value})
	}
	return out
}

func describeSecret(d *Dialect, c *authz.Call, v *rpc.Values) act {
	name, fetch := v.Need("SecretName"), v.Boolean("FetchTags")
	return func(ctx context.Context) (rpc.Response, error) {
		s, err := d.Secrets.Describe(ctx, c, name)
		if err != nil {
			return nil, err
		}
		schedule, err := d.Rotations.ScheduleOf(ctx, c.Account, s.Name)
		if err != nil {
			return nil, err
		}
		instance, err := d.Keys.InstanceOf(ctx, c.Account, s.Key)
		return &struct {
			rpc.Reply
			rotates
			Arn               string
			CreateTime        string
			DKMSInstanceId    string `json:",omitempty" xml:",omitempty"`
			Description       string
			EncryptionKeyId   string
			PlannedDeleteTime string
			SecretName        string
			SecretType        string
			Tags              *secretTags `json:",omitempty" xml:",omitempty"`
			UpdateTime        string
		}{
			rotates: rotatesOf(schedule), Arn: d.Secrets.ARN(c.Account, s.Name), CreateTime: date(s.CreatedAt), DKMSInstanceId: instance, Description: s.Description,
			EncryptionKeyId: string(s.Key), PlannedDeleteTime: date(s.DeleteAt), SecretName: s.Name, SecretType: generic,
			Tags: tagsOf(s, fetch), UpdateTime: date(s.UpdatedAt),
		}, err
	}
}

type secretEntry struct {
	CreateTime        string
	PlannedDeleteTime string
	SecretName        string
	SecretType        string
	Tags              *secretTags `json:",omitempty" xml:",omitempty"`
	UpdateTime        string
}

func listSecrets(d *Dialect, c *authz.Call, v *rpc.Values) act {
	p, filter, fetch := v.Page(), secretFilter(v), v.Boolean("FetchTags")
	return func(ctx context.Context) (rpc.Response, error) {
		secrets, total, err := d.Secrets.List(ctx, c, filter, p)
		out := &struct {
			rpc.Reply
			paged
			SecretList struct{ Secret []secretEntry }
		}{paged: paged{p.Number, p.Size, total}}
		out.SecretList.Secret = []secretEntry{}
		for _, s := range secrets {
			out.SecretList.Secret = append(out.SecretList.Secret, secretEntry{
				CreateTime: date(s.CreatedAt), PlannedDeleteTime: date(s.DeleteAt), SecretName: s.Name, SecretType: generic,
				Tags: tagsOf(s, fetch), UpdateTime: date(s.UpdatedAt),
			})
		}
		return out, err
	}
}

// secretFilter reads the Filters of ListSecrets.
func secretFilter(v *rpc.Values) (f secret.Filter) {
	for _, entry := range choices(v) {
		switch entry.Key {
		case "SecretName":
			f.Names = entry.Values
		case "TagKey":
			f.TagKeys = entry.Values
		case "TagValue":
			f.TagValues = entry.Values
		case "SecretType":
			f.None = f.None || !slices.Contains(entry.Values, generic)
		case "DKMSInstanceId":
			f.Instances = entry.Values
		case "OwingService": // secrets belong to no cloud product
			f.None = true
		default:
			v.Invalid("Filters", "SecretName, TagKey, TagValue, SecretType, DKMSInstanceId and OwingService are known.")
		}
	}
	return f
}

func updateSecret(d *Dialect, c *authz.Call, v *rpc.Values) act {
	name, description := v.Need("SecretName"), v.Text("Description")
	return func(ctx context.Context) (rpc.Response, error) {
		return named(d.Secrets.Update(ctx, c, secret.UpdateInput{Secret: name, Description: &description}))
	}
}

type versionStages struct{ VersionStage []string }

func stagesOf(stages []secret.Stage) versionStages {
	out := versionStages{[]string{}}
	for _, s := range stages {
		out.VersionStage = append(out.VersionStage, string(s))
	}
	return out
}

func putSecretValue(d *Dialect, c *authz.Call, v *rpc.Values) act {
	in := secret.PutInput{Secret: v.Need("SecretName"), Version: v.Need("VersionId")}
	in.Kind, in.Data = secretData(v)
	v.Document("VersionStages", &in.Stages, `It must be a JSON list such as ["ACSCurrent"].`)
	return func(ctx context.Context) (rpc.Response, error) {
		defer in.Data.Zero()
		version, stages, err := d.Secrets.Put(ctx, c, in)
		return &struct {
			rpc.Reply
			SecretName    string
			VersionId     string
			VersionStages versionStages
		}{SecretName: version.Name, VersionId: version.ID, VersionStages: stagesOf(stages)}, err
	}
}

func getSecretValue(d *Dialect, c *authz.Call, v *rpc.Values) act {
	v.Boolean("FetchExtendedConfig") // there is none
	in := secret.GetInput{Secret: v.Need("SecretName"), Version: v.Text("VersionId"), Stage: secret.Stage(v.Text("VersionStage")), DryRun: v.Dry()}
	return func(ctx context.Context) (rpc.Response, error) {
		value, err := d.Secrets.Get(ctx, c, in)
		if err != nil {
			return nil, err
		}
		defer value.Data.Zero()
		schedule, err := d.Rotations.ScheduleOf(ctx, c.Account, value.Secret.Name)
		data := string(value.Data.Expose())
		if value.Version.Kind == secret.Binary {
			data = base64.StdEncoding.EncodeToString(value.Data.Expose())
		}
		return &struct {
			rpc.Reply
			rotates
			CreateTime     string
			SecretData     string
			SecretDataType string
			SecretName     string
			SecretType     string
			VersionId      string
			VersionStages  versionStages
		}{
			rotates: rotatesOf(schedule), CreateTime: date(value.Version.CreatedAt), SecretData: data, SecretDataType: string(value.Version.Kind),
			SecretName: value.Secret.Name, SecretType: generic, VersionId: value.Version.ID, VersionStages: stagesOf(value.Stages),
		}, err
	}
}

type secretVersionEntry struct {
	CreateTime    string
	VersionId     string
	VersionStages versionStages
}

// listSecretVersionIDs leaves out, if it is not asked for them, the versions on which no
// stage stands. A secret has so few versions that the page is cut from all of them.
func listSecretVersionIDs(d *Dialect, c *authz.Call, v *rpc.Values) act {
	name, p, all := v.Need("SecretName"), v.Page(), v.Boolean("IncludeDeprecated")
	if err := p.Check(); err != nil {
		v.Fail(err)
	}
	return func(ctx context.Context) (rpc.Response, error) {
		of, versions, _, err := d.Secrets.ListVersions(ctx, c, name, key.Page{Number: 1, Size: secret.MaxVersions})
		if !all {
			versions = slices.DeleteFunc(versions, func(v secret.Version) bool { return len(of.On(v.ID)) == 0 })
		}
		out := &struct {
			rpc.Reply
			paged
			SecretName string
			VersionIds struct{ VersionId []secretVersionEntry }
		}{paged: paged{p.Number, p.Size, len(versions)}, SecretName: of.Name}
		out.VersionIds.VersionId = []secretVersionEntry{}
		for _, v := range pageOf(versions, p) {
			out.VersionIds.VersionId = append(out.VersionIds.VersionId, secretVersionEntry{
				CreateTime: date(v.CreatedAt), VersionId: v.ID, VersionStages: stagesOf(of.On(v.ID)),
			})
		}
		return out, err
	}
}

func updateSecretVersionStage(d *Dialect, c *authz.Call, v *rpc.Values) act {
	in := secret.MoveInput{
		Secret: v.Need("SecretName"), Stage: secret.Stage(v.Need("VersionStage")),
		From: v.Text("RemoveFromVersion"), To: v.Text("MoveToVersion"),
	}
	if in.From == "" && in.To == "" {
		v.Need("MoveToVersion")
	}
	return func(ctx context.Context) (rpc.Response, error) { return named(d.Secrets.MoveStage(ctx, c, in)) }
}

func deleteSecret(d *Dialect, c *authz.Call, v *rpc.Values) act {
	in := secret.DeleteInput{Secret: v.Need("SecretName"), Days: v.Integer("RecoveryWindowInDays", 0), Force: v.Boolean("ForceDeleteWithoutRecovery")}
	return func(ctx context.Context) (rpc.Response, error) {
		s, err := d.Secrets.Delete(ctx, c, in)
		return &struct {
			secretReply
			PlannedDeleteTime string
		}{secretReply{SecretName: s.Name}, date(s.DeleteAt)}, err
	}
}

func restoreSecret(d *Dialect, c *authz.Call, v *rpc.Values) act {
	name := v.Need("SecretName")
	return func(ctx context.Context) (rpc.Response, error) { return named(d.Secrets.Restore(ctx, c, name)) }
}

func getRandomPassword(d *Dialect, c *authz.Call, v *rpc.Values) act {
	in := secret.PasswordInput{
		Length: v.Integer("PasswordLength", 0), Exclude: v.Text("ExcludeCharacters"), NoLower: v.Boolean("ExcludeLowercase"),
		NoUpper: v.Boolean("ExcludeUppercase"), NoDigits: v.Boolean("ExcludeNumbers"), NoPunctuation: v.Boolean("ExcludePunctuation"),
	}
	in.Any = v.Text("RequireEachIncludedType") != "" && !v.Boolean("RequireEachIncludedType")
	return func(ctx context.Context) (rpc.Response, error) {
		password, err := d.Secrets.RandomPassword(ctx, c, in)
		defer password.Zero()
		return &struct {
			rpc.Reply
			RandomPassword string
		}{RandomPassword: string(password.Expose())}, err
	}
}

func updateSecretRotationPolicy(d *Dialect, c *authz.Call, v *rpc.Values) act {
	v.Need("EnableAutomaticRotation")
	name, on, every := v.Need("SecretName"), v.Boolean("EnableAutomaticRotation"), v.Interval("RotationInterval")
	if on && every == 0 {
		v.Need("RotationInterval")
	}
	return func(ctx context.Context) (rpc.Response, error) {
		err := d.Rotations.ScheduleSecret(ctx, c, name, on, every)
		return &secretReply{SecretName: d.Secrets.Relative(c, name)}, err
	}
}

func rotateSecret(d *Dialect, c *authz.Call, v *rpc.Values) act {
	name, token := v.Need("SecretName"), v.Need("VersionId")
	return func(ctx context.Context) (rpc.Response, error) {
		version, err := d.Rotations.RotateSecret(ctx, c, name, token)
		name := d.Secrets.Relative(c, name)
		return &struct {
			rpc.Reply
			Arn        string
			SecretName string
			VersionId  string
		}{Arn: d.Secrets.ARN(c.Account, name), SecretName: name, VersionId: version}, err
	}
}

func getSecretPolicy(d *Dialect, c *authz.Call, v *rpc.Values) act {
	name, policy := v.Need("SecretName"), v.Text("PolicyName")
	return func(ctx context.Context) (rpc.Response, error) {
		document, err := d.Secrets.GetPolicy(ctx, c, name, policy)
		return &policyReply{Policy: document}, err
	}
}

func setSecretPolicy(d *Dialect, c *authz.Call, v *rpc.Values) act {
	name, policy, document := v.Need("SecretName"), v.Text("PolicyName"), v.Need("Policy")
	return func(ctx context.Context) (rpc.Response, error) {
		return done(d.Secrets.SetPolicy(ctx, c, name, policy, document))
	}
}

package leaktest

import (
	"encoding/base64"
	"fmt"
	"strings"
)

// A Negative is a text in which nothing must be found.
type Negative struct{ Name, File, Text string }

// Negatives answers texts that look as if they had credentials.
func (m *Maker) Negatives() []Negative {
	n := func(name, file string, lines ...string) Negative {
		return Negative{name, file, strings.Join(lines, "\n") + "\n"}
	}
	h := func(k int) string { return m.of(hexLower, k) }
	random := make([]byte, 3000)
	_, _ = source{m.r}.Read(random) // never fails
	image := base64.StdEncoding.EncodeToString(random)
	var vectors strings.Builder
	for i := range 40 {
		fmt.Fprintf(&vectors, "{\"tcId\": %d, \"key\": %q, \"iv\": %q, \"msg\": %q, \"sharedSecret\": %q},\n", i, h(64), h(24), h(32), h(64))
	}
	return []Negative{
		n("hashes", "sums.txt", h(64)+"  keyward_linux_amd64.tar.gz", h(40)+"  v1.0.0", "md5: "+h(32), "etag: \""+h(32)+"\"", "sha256:"+h(64)),
		n("go.sum", "go.sum", "golang.org/x/text v0.3.0 h1:"+base64.StdEncoding.EncodeToString(random[:32]), "golang.org/x/text v0.3.0/go.mod h1:"+base64.StdEncoding.EncodeToString(random[32:64])),
		n("lock file", "package-lock.json", `  "node_modules/a": {`, `    "resolved": "https://registry.npmjs.org/a/-/a-1.0.0.tgz",`, `    "integrity": "sha512-`+base64.StdEncoding.EncodeToString(random[:64])+`"`, `  }`),
		n("yarn lock", "yarn.lock", `secret-token@^1.0.0:`, `  version "1.2.3"`, `  resolved "https://registry.yarnpkg.com/secret-token/-/secret-token-1.2.3.tgz#`+h(40)+`"`),
		n("uuids", "ids.json", `{"id": "`+m.uuid()+`", "tokenId": "`+m.uuid()+`", "requestId": "`+m.uuid()+`"}`),
		n("base64 image", "page.html", `<img src="data:image/png;base64,`+image+`">`, `<div data-key="`+image[:64]+`"></div>`),
		n("test vectors", "vectors.json", vectors.String()),
		n("templates", "values.yaml", "password: {{ .Values.db.password }}", "secretKey: ${SECRET_KEY}", "token: $TOKEN", "apiKey: <your-api-key>", "secret: %SECRET%", "accessKeySecret: #{secret.value}", "secret_key: ${TENCENTCLOUD_SECRET_KEY:}"),
		n("placeholders", "README.md", "SECRET_ID=AKIDxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", "secretKey: your-secret-key-here", "`AccessKeyId`: `LTAI****************`", "password=changeme", "api_key = \"YOUR_API_KEY\"", "| SecretKey | ******************************** |",
			"export AWS_ACCESS_KEY_ID=AKIAIOSFODNN7EX"+"AMPLE", "export AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG/bPxRfiCYEX"+"AMPLEKEY", "密码：请填写", "appSecret: '你的AppSecret'", "sk_test: sk_live_xxxxxxxxxxxxxxxxxxxxxxxx", "token: ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"),
		n("code", "auth.go", "func checkPassword(password string) error {", "\tif password != user.Password {", "\tsecretKey := os.Getenv(\"SECRET_KEY\")", "\ttoken := r.Header.Get(\"X-Auth-Token\")", "\tcfg.AccessKeySecret = credentials.AccessKeySecret", "\tpasswordHash := sha256.Sum256([]byte(password))", "\tconst passwordField = \"password\"",
			"\terr := errors.New(\"password must be at least 8 characters\")", "\tprivateKey, err := rsa.GenerateKey(rand.Reader, 2048)", "\tSecretName: \"keyward-database-credentials\",", "\tsecret := base64.StdEncoding.EncodeToString(buf)"),
		n("java", "Login.java", "    private String password;", "    @Value(\"${wechat.appSecret}\")", "    private String appSecret;", "    String token = request.getHeader(\"Authorization\");", "    user.setPassword(passwordEncoder.encode(rawPassword));", "    public static final String SECRET_KEY_PARAM = \"secretKeyParameterName\";"),
		n("javascript", "login.js", "const token = localStorage.getItem('accessToken');", "this.password = this.form.controls.password.value;", "if (key === 'secret') { return }", "password: { type: String, required: true },", "const API_KEY = process.env.API_KEY || '';", "headers: { Authorization: `Bearer ${token}` },"),
		n("minified", "jquery.min.js", `!function(e,t){"use strict";var n=t.token,r={key:e.keyCode,password:e.password||"",secret:function(){return this.state.secret}};t.exports=r,e.fn.val=function(e){return e.replace(/password=[^&]*/g,"password=***")}}(window,module);`),
		n("translations", "zh.json", `{"password": "密码", "forgotPassword": "忘记密码？", "secretKey": "密钥", "token.expired": "令牌已过期，请重新登录", "passwordRule": "密码长度为8-16位"}`),
		n("english", "en.json", `{"password": "Password", "confirm_password": "Confirm your password", "api_key": "API key (optional)", "token": "Access token for the REST API"}`),
		n("form", "login.html", `<input type="password" name="password" placeholder="Password" autocomplete="current-password">`, `<label for="secret">Secret key</label>`),
		n("public keys", "id.pub", "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABgQ"+image[:300]+" me@host", "-----BEGIN PUBLIC KEY-----", "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA"+image[:300], "-----END PUBLIC KEY-----"),
		n("references", "deploy.yaml", "valueFrom:", "  secretKeyRef:", "    name: keyward-db-secret", "    key: password", "passwordFile: /run/secrets/db-password", "tokenPath: /var/run/secrets/kubernetes.io/serviceaccount/token", "secretArn: arn:aws:secretsmanager:us-east-1:123456789012:secret:prod/db", "vault_password_file = ~/.vault_pass.txt"),
		n("urls", "links.md", "https://user:password@example.com/", "postgres://postgres:postgres@localhost:5432/test", "redis://localhost:6379", "git@github.com:keyward/keyward.git", "https://${USER}:${TOKEN}@github.com/x/y", "http://[::1]:8080/@scope/pkg", "https://registry.npmjs.org/@babel/core:7.0.0"),
		n("public ids", "project.config.json", `{"appid": "w`+`x`+h(16)+`", "projectname": "shop", "md5": "`+h(32)+`"}`),
		n("versions", "build.gradle", "tokenVersion = 1.2.3-SNAPSHOT", "keyAlias 'release'", "signingKeyId = ABCDEF12", "compileOnly 'com.auth0:java-jwt:4.4.0'", "secretKeyLength = 256"),
		n("hash of password", "users.sql", "INSERT INTO users VALUES (1,'admin','$2a$10$"+m.of(alnum, 53)+"');", "password_hash = '"+h(64)+"'"),
		n("checksums in code", "release.rb", `sha256 "`+h(64)+`"`, `url "https://github.com/keyward/keyward/archive/`+h(40)+`.tar.gz"`),
		n("log", "app.log", "INFO token refreshed for user=42 requestId="+m.uuid(), "WARN password for user admin is incorrect", "traceId="+h(32)+" spanId="+h(16), "key=user:1001:profile ttl=3600"),
		n("css and fonts", "style.css", ".token.keyword{color:#07a}", "src:url(data:font/woff2;base64,"+image+")"),
		n("python", "forms.py", "password = forms.CharField(widget=forms.PasswordInput)", "SECRET_KEY = os.environ['SECRET_KEY']", "token = get_token(request)", "api_key: Optional[str] = None", "auth = (username, password)", "key = f'{prefix}:{user_id}'"),
		n("commands", "notes.md", "curl -u username:password https://api.keyward.test/", "curl -u $USER:$TOKEN -H 'X: 1' https://api.keyward.test/", "curl -u \"${API_USER}:${API_PASS1}\" https://x", "curl --user <user>:<your-password> https://x", "curl --user-agent 'Mozilla/5.0 (X11; Linux)' -o a:b1234567 https://x",
			"mysql -u root -p shop2024", "mysql -p$MYSQL_ROOT_PASSWORD", "mysqldump -uroot -p\"${DB_PASS}\" shop", "mysql -pYOUR_PASSWORD1", "mysql --port=3306 -P3306 -plocalhost", "mkdir -p a/b1", "docker login -u $U -p ${{ secrets.X1 }} registry", "docker login -u ci -p \"$(cat token1.txt)\"",
			"sshpass -p <password1> ssh a@b", "redis-cli -a \"$REDIS_PASSWORD\" ping", "mongo -p 27018", "use curl -u user:Passw0rd here, never in production", "test: [\"CMD\", \"mysqladmin\", \"ping\", \"-p$$MYSQL_PASSWORD\"]"),
		n("config map and secret", "all.yaml", "kind: ConfigMap", "data:", "  password-policy: strong", "  token.ttl: \"86400\"", "---", "kind: Secret", "data:", "  password: "+base64.StdEncoding.EncodeToString([]byte("changeme")), "  secretKey: "+base64.StdEncoding.EncodeToString([]byte("${SECRET_KEY}")), "  ca.crt: "+image[:400]),
		n("spring", "application.yml", "password: ${DB_PW:}", "password: ${DB_PW:${OTHER_PW}}", "password: ${DB_PW:changeme}", "secretKey: \"${APP_7:your-secret-key-1}\"", "token: ${X:?must be set 1}", "apiKey: ${A:-$B1}"),
		n("shell", "setup.sh", `PASSWORD="$(openssl rand -base64 32)"`, `TOKEN=$(curl -s http://169.254.169.254/latest/api/token)`, `read -s -p "Password: " PASSWORD`, `export SECRET_KEY="${SECRET_KEY:?is not set}"`, "echo \"password: $PASSWORD\""),
	}
}

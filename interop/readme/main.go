// Command readme is the program that the project's README shows: Alibaba Cloud's official
// SDK, pointed at keyward. It encrypts with the key alias/reports of the server that the
// variables of "keyward dev" name, and writes the ciphertext.
package main

import (
	"fmt"
	"log"
	"os"
	"strings"

	openapi "github.com/alibabacloud-go/darabonba-openapi/v2/client"
	kms "github.com/alibabacloud-go/kms-20160120/v3/client"
	"github.com/alibabacloud-go/tea/tea"
)

func main() {
	client, err := kms.NewClient(&openapi.Config{
		Endpoint: tea.String(strings.TrimPrefix(os.Getenv("KEYWARD_ENDPOINT"), "http://")), Protocol: tea.String("HTTP"),
		AccessKeyId: tea.String(os.Getenv("ALIBABA_CLOUD_ACCESS_KEY_ID")), AccessKeySecret: tea.String(os.Getenv("ALIBABA_CLOUD_ACCESS_KEY_SECRET")),
	})
	if err != nil {
		log.Fatal(err)
	}
	answer, err := client.Encrypt(&kms.EncryptRequest{KeyId: tea.String("alias/reports"), Plaintext: tea.String("aGVsbG8=")})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(tea.StringValue(answer.Body.CiphertextBlob))
}

// Drives keyward with Alibaba Cloud's three clients for Node.js. The environment says
// where the server is: KEYWARD_HOST (host and port), and the access key in the usual
// variables. It ends with status 0 if everything is as with the real service.
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import kms from '@alicloud/kms20160120';
import openapi from '@alicloud/openapi-client';
import pop from '@alicloud/pop-core';
import util from '@alicloud/tea-util';

const host = process.env.KEYWARD_HOST;
const accessKeyId = process.env.ALIBABA_CLOUD_ACCESS_KEY_ID;
const accessKeySecret = process.env.ALIBABA_CLOUD_ACCESS_KEY_SECRET;
const odd = 'a b*c~d/é+=&%25?#[]@!$\'(),;:"<>\\|^`{}\t\n中文𝔘';

// Each client as a function from an action and its parameters to the answer, with the
// names of the wire; an error has a code.
const clients = {
  kms20160120(secret) {
    const client = new kms.default({
      accessKeyId, accessKeySecret: secret, endpoint: host, protocol: 'HTTP', type: 'access_key', regionId: 'cn-hangzhou',
    });
    return async (action, params) => {
      const method = action[0].toLowerCase() + action.slice(1);
      if (kms[`${action}Request`] === undefined) {
        return (await client[method]()).toMap();
      }
      const fields = Object.entries(params).map(([name, value]) => [name[0].toLowerCase() + name.slice(1), value]);
      return (await client[method](new kms[`${action}Request`](Object.fromEntries(fields)))).toMap();
    };
  },
  openapiClient(secret) {
    const client = new openapi.default(new openapi.Config({ accessKeyId, accessKeySecret: secret, endpoint: host, protocol: 'HTTP' }));
    return async (action, params) => {
      const api = new openapi.Params({
        action, version: '2016-01-20', protocol: 'HTTP', pathname: '/', method: 'POST', authType: 'AK', style: 'RPC', reqBodyType: 'formData', bodyType: 'json',
      });
      return (await client.callApi(api, new openapi.OpenApiRequest({ query: params }), new util.RuntimeOptions({}))).body;
    };
  },
  popCoreGet: (secret) => popCore(secret, 'GET'),
  popCorePost: (secret) => popCore(secret, 'POST'),
};

function popCore(secret, method) {
  const client = new pop.RPCClient({ accessKeyId, accessKeySecret: secret, endpoint: `http://${host}`, apiVersion: '2016-01-20' });
  return (action, params) => client.request(action, params, { method });
}

// refused checks an error's code; kms20160120 writes "Error" behind it.
async function refused(call, code) {
  await assert.rejects(call, (error) => {
    assert.equal(error.code.replace(/Error$/, ''), code);
    return true;
  });
}

async function life(call) {
  const created = (await call('CreateKey', { KeySpec: 'Aliyun_AES_256', Description: odd })).KeyMetadata;
  assert.equal(created.Description, odd);
  assert.equal(created.KeyState, 'Enabled');
  const KeyId = created.KeyId;
  await call('DisableKey', { KeyId });
  assert.equal((await call('DescribeKey', { KeyId })).KeyMetadata.KeyState, 'Disabled');
  await refused(call('GenerateDataKey', { KeyId }), 'Rejected.Disabled');
  await call('EnableKey', { KeyId });
  await call('ScheduleKeyDeletion', { KeyId, PendingWindowInDays: 7 });
  await refused(call('ScheduleKeyDeletion', { KeyId, PendingWindowInDays: 7 }), 'Rejected.StateModifiedFailed');
  await call('CancelKeyDeletion', { KeyId });
  await call('TagResource', { KeyId, Tags: '[{"TagKey":"team","TagValue":"pay"}]' });
  const [tag, ...more] = (await call('ListResourceTags', { KeyId })).Tags.Tag;
  assert.deepEqual({ ...tag }, { KeyId, TagKey: 'team', TagValue: 'pay' });
  assert.equal(more.length, 0);
  const keys = await call('ListKeys', { PageNumber: 1, PageSize: 100 });
  assert.ok(keys.Keys.Key.some((key) => key.KeyId === KeyId));
  assert.equal(keys.TotalCount, keys.Keys.Key.length);
  return KeyId;
}

async function use(call, KeyId, name) {
  const AliasName = `alias/${name}`;
  await call('CreateAlias', { AliasName, KeyId });
  const Plaintext = Buffer.from(odd).toString('base64');
  const sealed = await call('Encrypt', { KeyId: AliasName, Plaintext });
  assert.equal(sealed.KeyId, KeyId);
  assert.equal((await call('Decrypt', { CiphertextBlob: sealed.CiphertextBlob })).Plaintext, Plaintext);
  const made = await call('GenerateDataKey', { KeyId, KeySpec: 'AES_128' });
  assert.equal(Buffer.from(made.Plaintext, 'base64').length, 16);
  assert.equal((await call('Decrypt', { CiphertextBlob: made.CiphertextBlob })).Plaintext, made.Plaintext);
  await call('DeleteAlias', { AliasName });
  await refused(call('DescribeKey', { KeyId: AliasName }), 'Forbidden.AliasNotFound');
}

async function sign(call) {
  const { KeyId, PrimaryKeyVersion: KeyVersionId } = (await call('CreateKey', { KeySpec: 'RSA_2048', KeyUsage: 'SIGN/VERIFY' })).KeyMetadata;
  const message = Buffer.from('pay 1 yuan');
  const Digest = crypto.createHash('sha256').update(message).digest('base64');
  const Algorithm = 'RSA_PKCS1_SHA_256';
  const { Value } = await call('AsymmetricSign', { KeyId, KeyVersionId, Algorithm, Digest });
  const { PublicKey } = await call('GetPublicKey', { KeyId, KeyVersionId });
  assert.ok(crypto.verify('sha256', message, PublicKey, Buffer.from(Value, 'base64')));
  assert.equal((await call('AsymmetricVerify', { KeyId, KeyVersionId, Algorithm, Digest, Value })).Value, true);
}

for (const [name, connect] of Object.entries(clients)) {
  try {
    const call = connect(accessKeySecret);
    await use(call, await life(call), name);
    await sign(call);
    assert.equal((await call('DescribeRegions', {})).Regions.Region[0].RegionId, 'cn-hangzhou');
    await refused(call('DescribeKey', { KeyId: 'key-none' }), 'Forbidden.KeyNotFound');
    await refused(call('CreateKey', { KeySpec: 'Aliyun_AES_512' }), 'InvalidParameter');
    await refused(connect('wrong')('DescribeKey', { KeyId: 'key-none' }), 'SignatureDoesNotMatch');
  } catch (error) {
    console.error(`${name}: ${error.stack}`);
    process.exitCode = 1;
  }
}

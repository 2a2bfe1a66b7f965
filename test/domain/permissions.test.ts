import { describe, expect, it } from 'vitest';
import { permissionOf, verbs } from '../../src/domain/machine.ts';
import { allowed, grantOf, roles } from '../../src/domain/permissions.ts';

describe('permissions', () => {
  it('let everybody who operates lower exposure, and nobody who only looks', () => {
    const lowering = roles.filter((role) => allowed(role, 'rollout.lower') === 'yes');
    expect(lowering).toEqual(['operator', 'approver', 'admin', 'ci']);
  });

  it('let CI kill and hold, and lower in no other way', () => {
    expect(allowed('ci', 'rollout.lower', 'kill')).toBe('yes');
    expect(allowed('ci', 'rollout.lower', 'hold')).toBe('yes');
    expect(allowed('ci', 'rollout.lower', 'step-back')).toBe('no');
    expect(allowed('ci', 'rollout.lower', 'cancel')).toBe('no');
  });

  it('split raising into a request and an approval', () => {
    expect(grantOf('operator', 'rollout.raise')).toBe('request');
    expect(grantOf('approver', 'rollout.raise')).toBe('approve');
    expect(allowed('approver', 'rollout.raise')).toBe('request');
    expect(allowed('viewer', 'rollout.raise')).toBe('no');
  });

  it('leave approvals of stages to approvers alone', () => {
    expect(roles.filter((role) => allowed(role, 'stage.approve') !== 'no')).toEqual(['approver']);
  });

  it('give the machines of an app nothing but their own doors', () => {
    expect(allowed('sdk-client', 'rules.read')).toBe('no');
    expect(allowed('sdk-client', 'read')).toBe('no');
    expect(allowed('sdk-server', 'rules.read')).toBe('yes');
    expect(allowed('ingest', 'beacons.send')).toBe('yes');
  });

  it('name one permission for every verb', () => {
    for (const verb of verbs) expect(permissionOf(verb)).toMatch(/^(plan|rollout|stage)\./);
  });
});

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeLogCursor, encodeLogCursor, epochOf, LOG_START, type LogPosition } from '../../src/changes/cursor.ts';

const EPOCH = epochOf('identity', 'settings');

const positions: fc.Arbitrary<LogPosition> = fc.record({
  seq: fc.integer({ min: 0, max: 999_999_999_999_999 }),
  // Up to the year 9999.
  at: fc.integer({ min: 0, max: 253_402_300_799_999 }),
});

describe('the cursor of the log', () => {
  it('should decode to the position and the epoch that it was made of', () => {
    fc.assert(
      fc.property(positions, (position) => {
        expect(decodeLogCursor(encodeLogCursor(EPOCH, position))).toEqual({ epoch: EPOCH, ...position });
      }),
    );
  });

  it('should keep the form that clients have stored', () => {
    expect(encodeLogCursor('0123456789abcdef', { seq: 12, at: 1_700_000_000_000 })).toBe(
      '0123456789abcdef:12-loyw3v28',
    );
    expect(decodeLogCursor('0123456789abcdef:12-loyw3v28')).toEqual({
      epoch: '0123456789abcdef',
      seq: 12,
      at: 1_700_000_000_000,
    });
  });

  it('should exist for the position before all changes', () => {
    expect(decodeLogCursor(encodeLogCursor(EPOCH, LOG_START))).toEqual({ epoch: EPOCH, seq: 0, at: 0 });
  });

  it.each([
    ['is empty', ''],
    ['has text before it', `x${encodeLogCursor(EPOCH, LOG_START)}`],
    ['has text after it', `${encodeLogCursor(EPOCH, LOG_START)}!`],
    ['has a line before it', `\n${encodeLogCursor(EPOCH, LOG_START)}`],
    ['has a shorter epoch', '0123456789abcde:1-1'],
    ['has an epoch of other digits', '0123456789abcdeg:1-1'],
    ['has an epoch in upper case', '0123456789ABCDEF:1-1'],
    ['has no number', '0123456789abcdef:-1'],
    ['has a negative number', '0123456789abcdef:-1-1'],
    ['has a number that is no integer', '0123456789abcdef:1.5-1'],
    ['has a number beyond the safe integers', '0123456789abcdef:1234567890123456-1'],
    ['has no time', '0123456789abcdef:1-'],
    ['has a time of other digits', '0123456789abcdef:1-A'],
    ['has a time beyond the safe integers', '0123456789abcdef:1-zzzzzzzzzzz'],
  ])('should be refused when it %s', (_, text) => {
    expect(() => decodeLogCursor(text)).toThrow(
      expect.objectContaining({ code: 'BAD_CURSOR', message: 'The cursor is malformed.' }),
    );
  });
});

describe('the epoch of a log', () => {
  it('should be the same for the same log and settings only', () => {
    expect(EPOCH).toMatch(/^[0-9a-f]{16}$/);
    expect(epochOf('identity', 'settings')).toBe(EPOCH);
    expect(epochOf('other', 'settings')).not.toBe(EPOCH);
    expect(epochOf('identity', 'other')).not.toBe(EPOCH);
  });

  it('should not change with a release, which would invalidate all cursors', () => {
    expect(EPOCH).toBe('57cf0dc16ad9ffcb');
  });
});

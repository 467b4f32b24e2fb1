import { describe, expect, it } from 'vitest';
import { parseConfig } from '../../src/config/config.ts';
import { estimateBits } from '../../src/config/secret-strength.ts';

const RUN_BITS = 8;
const REPETITION_BITS = 10;

describe('the estimated entropy of a text', () => {
  it.each([
    ['', 0, 10],
    ['7', 1, 10],
    ['71938406', 8, 10],
    ['7f1b93c8', 8, 16],
    ['7F1B93C8', 8, 16],
    ['qxkzmwpj', 8, 26],
    ['QXKZMWPJ', 8, 26],
    ['q7kz1w9j', 8, 36],
    ['Q7KZ1W9J', 8, 36],
    ['qXkZmWpJ', 8, 52],
    ['q7Kz+W9/', 8, 64],
    ['q7Kz-W9_', 8, 64],
    ['q7Kz!W9?', 8, 95],
    ['7193840a', 8, 16],
    ['a7193840', 8, 16],
    ['7f1B93C8', 8, 64],
    ['!q7KzW9x', 8, 95],
    ['q7KzW9x!', 8, 95],
  ])('should be that of single characters for %j: %i of an alphabet of %i', (text, count, size) => {
    expect(estimateBits(text)).toBeCloseTo(count * Math.log2(size), 10);
  });

  it.each([
    ['equal characters', '1111', RUN_BITS],
    ['ascending characters', '6789', RUN_BITS],
    ['descending characters', '9876', RUN_BITS],
    ['a long run', '0'.repeat(50), RUN_BITS],
  ])('should count %s as a run after the first one', (_, text, bits) => {
    expect(estimateBits(text)).toBeCloseTo(Math.log2(10) + bits, 10);
  });

  it('should count runs anywhere, and only up to where they end', () => {
    expect(estimateBits('q111111z')).toBeCloseTo(3 * Math.log2(36) + RUN_BITS, 10);
    expect(estimateBits('q6789z')).toBeCloseTo(3 * Math.log2(36) + RUN_BITS, 10);
    expect(estimateBits('9136789')).toBeCloseTo(4 * Math.log2(10) + RUN_BITS, 10);
  });

  it('should not count steps of more than one, or runs shorter than three, as runs', () => {
    expect(estimateBits('02468')).toBeCloseTo(5 * Math.log2(10), 10);
    expect(estimateBits('97531')).toBeCloseTo(5 * Math.log2(10), 10);
    expect(estimateBits('111')).toBeCloseTo(3 * Math.log2(10), 10);
  });

  it('should count a repetition once, however long', () => {
    expect(estimateBits('q7kzq7kz')).toBeCloseTo(4 * Math.log2(36) + REPETITION_BITS, 10);
    expect(estimateBits('q7kz'.repeat(20))).toBeCloseTo(4 * Math.log2(36) + REPETITION_BITS, 10);
    expect(estimateBits('q7kzw7kz5')).toBeCloseTo(6 * Math.log2(36) + REPETITION_BITS, 10);
  });

  it('should never count a piece as more than its characters', () => {
    // Three digits have fewer bits than a repetition.
    expect(estimateBits('719719')).toBeCloseTo(6 * Math.log2(10), 10);
    expect(estimateBits('7179717')).toBeCloseTo(7 * Math.log2(10), 10);
  });

  it('should be that of the first 1000 characters of a long text', () => {
    const text = String.fromCharCode(...Array.from({ length: 1500 }, (_, index) => 0x4e00 + 2 * index));
    expect(estimateBits(text)).toBeCloseTo(1000 * Math.log2(95), 6);
  });

  it('should suffice for a secret from 100 bits on', () => {
    // 23 digits of 4 bits and a run.
    const secret = `7f1b93c8e05d2a64fb917ce${'0'.repeat(20)}`;
    expect(estimateBits(secret.slice(0, 23))).toBe(92);
    expect(estimateBits(secret)).toBe(104);
    expect(estimateBits(secret.slice(1))).toBe(100);
    expect(parseConfig({ SECRET_KEY: secret.slice(1) }).auth.secret).toBe(secret.slice(1));
    expect(() => parseConfig({ SECRET_KEY: secret.slice(2) })).toThrow('is easy to guess');
  });
});

import { describe, expect, it } from 'vitest';
import { NO_SCOPE, scopeName, scopeOf } from '../../src/changes/scopes.ts';

describe('the scope of a row', () => {
  const rule = { prefix: 'chat', column: 'chatId' } as const;

  it('should be the name of a rule without a column', () => {
    expect(scopeOf({ name: 'posts' }, { id: 1 })).toBe('posts');
  });

  it('should be the prefix with the value of the column', () => {
    expect(scopeOf(rule, { id: 1, chatId: 7 })).toBe('chat:7');
    expect(scopeOf(rule, { id: 1, chatId: 7 })).toBe(scopeName('chat', 7));
    expect(scopeOf(rule, { id: 1, chatId: 0 })).toBe('chat:0');
  });

  it('should be the one for null where the rule has one', () => {
    expect(scopeOf({ ...rule, whenNull: 'everybody' }, { id: 1, chatId: null })).toBe('everybody');
    expect(scopeOf({ ...rule, whenNull: 'everybody' }, { id: 1, chatId: 7 })).toBe('chat:7');
  });

  it.each([
    ['null, without a scope for null', rule, { chatId: null }],
    ['no column', { ...rule, whenNull: 'everybody' }, {}],
    ['a text', { ...rule, whenNull: 'everybody' }, { chatId: '7' }],
  ])('should concern no subscription for %s', (_, each, row) => {
    expect(scopeOf(each, row)).toBe(NO_SCOPE);
    expect(NO_SCOPE).toBe('none');
  });
});

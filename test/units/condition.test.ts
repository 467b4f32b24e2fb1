import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type AnyCondition,
  asciiLowerCase,
  findIndexedDisjunction,
  matches,
  partsOf,
  type RowCondition,
} from '../../src/database/condition.ts';

type TodoCondition = RowCondition<'Todo'>;

const TODO = {
  id: 5,
  title: 'Green Tea',
  description: null,
  completed: false,
  ownerId: null,
  createdAt: new Date('2026-03-01T12:00:00Z'),
};
const holds = (condition: TodoCondition): boolean => matches(condition, TODO);

describe('a condition on a row', () => {
  const earlier = new Date('2026-03-01T11:59:59Z');
  const same = new Date('2026-03-01T12:00:00Z');

  it.each<[TodoCondition, boolean]>([
    [{}, true],
    [{ id: 5 }, true],
    [{ id: 6 }, false],
    [{ id: { equals: 5 } }, true],
    [{ id: { not: 5 } }, false],
    [{ id: { not: 6 } }, true],
    [{ id: { in: [] } }, false],
    [{ id: { in: [4, 5] } }, true],
    [{ id: { in: [4, 6] } }, false],
    [{ id: { gt: 4 } }, true],
    [{ id: { gt: 5 } }, false],
    [{ id: { gte: 5 } }, true],
    [{ id: { gte: 6 } }, false],
    [{ id: { lt: 6 } }, true],
    [{ id: { lt: 5 } }, false],
    [{ id: { lte: 5 } }, true],
    [{ id: { lte: 4 } }, false],
    [{ id: { gt: 4, lt: 5 } }, false],
    [{ id: { gt: 4, lt: 6 } }, true],
    [{ completed: false }, true],
    [{ completed: true }, false],
    [{ createdAt: same }, true],
    [{ createdAt: earlier }, false],
    [{ createdAt: { gt: earlier } }, true],
    [{ createdAt: { lte: earlier } }, false],
    [{ createdAt: { in: [earlier, same] } }, true],
    [{ title: { contains: 'green' } }, true],
    [{ title: { contains: 'N T' } }, true],
    [{ title: { contains: '%' } }, false],
    [{ title: { contains: '' } }, true],
    [{ id: 5, completed: true }, false],
    [{ AND: [{ id: 5 }, { completed: false }] }, true],
    [{ AND: [{ id: 5 }, { completed: true }] }, false],
    [{ AND: [] }, true],
    [{ OR: [{ id: 6 }, { completed: false }] }, true],
    [{ OR: [{ id: 6 }, { completed: true }] }, false],
    [{ OR: [] }, false],
    [{ NOT: { id: 6 } }, true],
    [{ NOT: { id: 5 } }, false],
  ])('should evaluate %j to %j', (condition, expected) => {
    expect(holds(condition)).toBe(expected);
  });

  it.each<[TodoCondition, boolean]>([
    [{ ownerId: null }, true],
    [{ ownerId: { not: null } }, false],
    [{ ownerId: 1 }, false],
    [{ ownerId: { not: 1 } }, false],
    [{ ownerId: { in: [0] } }, false],
    [{ ownerId: { gt: -1 } }, false],
    [{ ownerId: { gte: 0 } }, false],
    [{ ownerId: { lt: 1 } }, false],
    [{ ownerId: { lte: 0 } }, false],
    [{ description: { contains: '' } }, false],
    [{ description: { contains: 'null' } }, false],
    [{ id: { not: null as unknown as number } }, true],
  ])('should compare null as SQL does: %j is %j', (condition, expected) => {
    expect(holds(condition)).toBe(expected);
  });

  it('should treat a column that the row lacks as null, and an undefined member as absent', () => {
    expect(holds({ listId: null })).toBe(true);
    expect(holds({ listId: undefined, id: { gt: undefined, equals: 5 } } as unknown as TodoCondition)).toBe(true);
  });

  it('should be false where its negation is true', () => {
    const comparisons = fc.oneof(
      fc.record({ id: fc.integer({ min: 3, max: 7 }) }),
      fc.record({ id: fc.record({ gte: fc.integer({ min: 3, max: 7 }) }) }),
      fc.record({ ownerId: fc.constantFrom(null, 1) }),
    ) as fc.Arbitrary<TodoCondition>;
    fc.assert(
      fc.property(comparisons, comparisons, (one, other) => {
        expect(holds({ NOT: one })).toBe(!holds(one));
        expect(holds({ NOT: { AND: [one, other] } })).toBe(holds({ OR: [{ NOT: one }, { NOT: other }] }));
      }),
    );
  });

  it('should be refused for an operator that does not exist, which would otherwise be ignored', () => {
    const typo = { id: { above: 4 } } as unknown as TodoCondition;
    expect(() => holds(typo)).toThrow(
      'There is no operator above; the operators are equals, not, in, gt, gte, lt, lte, contains.',
    );
    expect(() => holds({ id: { toString: 4 } } as unknown as TodoCondition)).toThrow('no operator toString');
  });

  it('should ignore the case of ASCII letters only', () => {
    expect(asciiLowerCase('AZaz[@ÄÖ')).toBe('azaz[@ÄÖ');
    expect(matches<'Todo'>({ title: { contains: 'ÄPFEL' } }, { title: 'äpfel' })).toBe(false);
  });
});

const isRelation = (name: string): boolean => ['list', 'members'].includes(name);

describe('the parts of a condition', () => {
  it('should keep the order, with relations of one and of many rows', () => {
    const bytes = Buffer.from('x');
    const condition: AnyCondition = {
      list: { name: 'x' },
      members: { some: { userId: 1 } },
      OR: [{ id: 1 }],
      NOT: { id: 2 },
      secret: bytes,
      nothing: undefined,
    };
    expect(partsOf(condition, isRelation)).toEqual([
      { kind: 'relation', name: 'list', condition: { name: 'x' } },
      { kind: 'relation', name: 'members', condition: { userId: 1 } },
      { kind: 'OR', parts: [{ id: 1 }] },
      { kind: 'NOT', part: { id: 2 } },
      { kind: 'column', name: 'secret', operator: 'equals', operand: bytes },
    ]);
  });
});

describe('the disjunction of a condition that can use indexes', () => {
  it('should be found among the other members, which remain', () => {
    const alternatives = [{ ownerId: 1 }, { members: { some: { userId: 1 } } }];
    expect(findIndexedDisjunction({ OR: alternatives, title: 'x' }, isRelation)).toEqual({
      alternatives,
      rest: [{ title: 'x' }],
    });
    expect(
      findIndexedDisjunction({ AND: [{ OR: alternatives }, { AND: [{ id: { gt: 3 } }] }], title: 'x' }, isRelation),
    ).toEqual({ alternatives, rest: [{ id: { gt: 3 } }, { title: 'x' }] });
  });

  it('should be the one that can use indexes, where there are several', () => {
    const alternatives = [{ ownerId: 1 }, { ownerId: null }];
    const bound = { OR: [{ id: { gt: 4 } }, { title: 'x' }] };
    expect(findIndexedDisjunction({ AND: [bound, { OR: alternatives }] }, isRelation)).toEqual({
      alternatives,
      rest: [bound],
    });
  });

  it.each<[string, AnyCondition]>([
    ['there is none', { ownerId: 1 }],
    ['it has no alternatives', { OR: [] }],
    ['an alternative compares otherwise', { OR: [{ ownerId: 1 }, { id: { gt: 4 } }] }],
    ['an alternative is a negation', { OR: [{ ownerId: 1 }, { NOT: { ownerId: 2 } }] }],
    ['an alternative is another disjunction', { OR: [{ ownerId: 1 }, { OR: [{ ownerId: 2 }] }] }],
  ])('should be null when %s', (_, condition) => {
    expect(findIndexedDisjunction(condition, isRelation)).toBeNull();
  });
});

"""What random programs are written from: tables of templates for expressions, statements, results and arguments.

In a template `@T` is an expression for a tensor, `@N` for a number, `@A` for anything, `@V` the name of a local that
holds a tensor, `@new` a new local for one, and `@B` a block of statements. The simplest rows of a table come first,
since Hypothesis shrinks towards them.
"""

from __future__ import annotations

NUMBERS = (
    "1", "0", "n", "2", "-1", "scale", "len(items)", "box.count", "config['scale']", "net.calls", "x.shape[0]",
    "x.dim()", "x.numel()", "len(box)", "Box.made", "cached(2)[0]", "sum(deque)", "n + 1", "n * 2", "-n", "n // 2",
    "n ** 2", "int(n)", "max(n, 2)", "len(log)", "y.size(-1)", "Base.factor", "counts['a']", "hash(n)", "bool(n)",
    "abs(n)", "float(n)", "noisy.anything", "(n, 3)[0]", "extra[0] if extra else 4", "Point(n, 2).right",
    "next(iter((n, 5)))", "min(map(abs, (n, -3)))", "round(1.5)", "divmod(n, 3)[1]", "x.stride(0)",
    "n if n == True else 6", "len(str(n))", "int(n) << 3", "int(n) << 70", "int(n) >> 1", "int(n) & 6", "int(n) | 1",
    "n % 3", "-n // 2", "pow(int(n), 3, 7)", "range(9)[int(n)]", "len(range(int(n)))", "numpy.int64(2) + n",
    "int(numpy.int64(3)) * n", "x.shape[0] == True", "(n == 2 + 0j) + 1", "n.__class__(2)", "x.shape.numel()",
    "x.numel() // 2", "x.size(0) ** 2", "x.shape[0] << 1", "len('ab' * abs(int(n)))", "ord(chr(65 + int(n) % 7))",
    "int(f'{int(n)}7')", "bytes([int(n) % 5])[0]", "{1: 5, 2: 6}.get(n, 7)", "isinstance(n, bool) + 1", "2 ** 70 + n",
    "sum([n, 0.5])", "math.gcd(int(n), 6)", "round(n / 3, 2)", "1 < n < 4", "abs(complex(n, 1))", "x.storage_offset()",
    "x.element_size()", "Scaled.scale", "{x.shape[0]: 3}.get(2, 4)", "hash(x.shape[0])", "divmod(x.shape[0], 2)[1]",
    "[5, 6, 7, 8][x.shape[0] - 1]", "type(x.shape[0])(3)", "float(x.shape[0])", "x.shape[0] * 0.5", "len(x.shape)",
    "int('1' * x.dim())", "(n := 3)", "late", "key", "random.random()", "numpy.random.rand()", "random.randint(1, 9)",
    "slotted.count", "len(names)", "typed.other", "chained.calls", "net.drop.p", "counts.total()",
)  # fmt: skip

TENSORS = (
    "x", "y", "@V", "@T + @T", "@T * @N", "@T - 1", "@T.relu()", "@T.t()", "@T[0]", "@T.clone()", "@T.detach()",
    "@T.sum()", "@T.view(-1)", "@T.reshape(2, 2)", "@T.contiguous()", "@T[:, 0]", "@T.mean(0)", "torch.sin(@T)",
    "torch.cat([@T, @T])", "torch.stack([@T, @T])", "torch.where(@T > 0, @T, @N)", "torch.rand(2, 2) + @T",
    "torch.zeros_like(@T)", "torch.full((2, 2), @N) + @T", "@T.float()", "@T.to(torch.float64)", "@T.expand(2, 2)",
    "@T.unsqueeze(0)", "@T.squeeze()", "@T @ @T", "@T.max()", "@T.max(0).values", "@T.chunk(2)[-1]", "@T.T",
    "@T.flip(0)", "@T.cumsum(0)", "@T.clamp(0, @N)", "@T.masked_fill(@T > 0, @N)", "box.value", "box.double",
    "box.scaled(@T)", "box(@T)", "Box.of(@T).value", "Box.helper(@T)", "(box + @T).value", "box[0]", "sum(box)",
    "noisy.value", "Noisy(@T).value", "slotted.value", "record.value", "items[0]", "items[-1]", "shared", "helper(@T)",
    "helper(@T, plus=@N)", "helper(@T, @N)", "counter(@T)", "net(@T)", "net.linear(@T)", "net.seen",
    "net.linear.weight", "make_counter(@N)(@T)", "next(numbers(@T))", "sum(numbers(@T))",
    "functools.partial(helper, by=@N)(@T)", "functools.reduce(torch.add, [@T, @T])", "[@T for _ in range(2)][1]",
    "{'k': @T}['k']", "(lambda value, by=@N: value * by)(@T)", "max([@T.sum(), @T.sum()], key=float)",
    "torch.ones(2, 2, requires_grad=True) * @T", "torch.nn.functional.dropout(@T, 0.5)", "@T.new_zeros(2, 2)",
    "dataclasses.replace(record, value=@T).value", "next(delegating(@T))", "@T.data", "@T.as_strided((2,), (1,))",
    "list(numbers(@T, 2))[-1]", "sorted([@T.sum(), @T.max()])[0]", "torch.nn.Parameter(@T)", "@T.select(0, 0)",
    "getattr(box, 'value')", "box.__dict__['value']", "vars(box)['value']", "(n and @T)", "(@T if n > 1 else @T)",
    "torch.arange(4.0).view(2, 2)", "torch.linalg.inv(@T)", "torch.randn(2, 2)", "@T.detach().requires_grad_()",
    "Scaled.apply(@T)", "Scaled.apply(@T) * 2", "torch.add(@T, 1, out=@V)", "@V[1:]", "@V.diagonal()", "@V.real",
    "@V.view(-1)[::2]", "@T.cfloat().conj()", "@T.bool()", "@T.int()", "@T.to_sparse().to_dense()", "@T.movedim(0, -1)",
    "@T.unfold(0, 1, 1)", "torch.nn.functional.linear(@T, net.linear.weight)", "net.linear.weight[0]",
    "net.linear.weight.view(-1)", "torch.broadcast_to(@T, (2, 2, 2))", "@T.split(1)[0]", "net.linear.bias",
    "torch.from_numpy(@T.detach().numpy())", "torch.autograd.grad(net.linear.weight.sum() * n, net.linear.weight)[0]",
    "@T.expand(3, 2, 2)[0]", "@T.clone(memory_format=torch.contiguous_format)", "@T.new_full((2,), @N)",
    "torch.tensor([1.0, 2.0], requires_grad=True)", "torch.tensor(@N)", "@T.new_ones(x.shape[0])", "@T.sort(0).values",
    "torch.bernoulli(torch.full((2, 2), 0.5))", "@T.normal_()", "noisy.scaled(@T)", "slotted.scaled(@T)", "typed.value",
    "typed.scaled(@T)", "(lambda *a, **k: a[0] + k['b'])(@T, b=@T)", "sum(v for v in box)", "chained(@T).value",
    "next(pair for pair in zip([@T], [1]))[0]", "dict(enumerate([@T, @T]))[1]", "functools.partial(net, @T)()",
    "torch.nn.Linear(2, 2).weight * @T", "torch.cond(n > 1, lambda: @T + 1, lambda: @T + 2)",
    "@T.index_put((x > 0,), y)", "closing(@T)", "helper(@T, key)", "net.drop(@T)", "@T.mul(late)", "box.scaled(@T)",
    "typed.scaled(@T)", "slotted.scaled(@T)", "(torch.zeros(2, 2) + 1)", "torch.matmul(@T, net.linear.weight)",
)  # fmt: skip

ANYTHING = (
    "n", "@T", "[@T, @T]", "(@T, @N)", "{'a': @T}", "extra", "box", "str(n)", "f'{n} {scale}'", "x.shape", "Box(@T)",
    "Noisy(@T, @N)", "Point(@T, @N)", "Record(@T)", "numbers(@T)", "lambda: @T", "@T.tolist()", "helper", "range(n)",
    "set([n, @N])", "list(map(str, (n, 1)))", "type(n).__name__", "x.dtype", "@T.is_contiguous()", "@T.requires_grad",
    "@T is x", "@T.item()", "cached(n)", "sorted(config)", "repr(deque)", "dict(config, n=n)",
    "list(zip((n, 2), names))", "[*extra, n]", "box == Box(@T, n)", "isinstance(n, int)", "n == @N", "weakref.ref(box)",
    "getattr(box, 'absent', None)", "functools.partial(helper, @T)", "box.scaled", "make_counter(n)", "net",
    "iter(items)", "slice(n, None)", "@T.grad", "@T._version", "hash(box) == hash(box)", "torch.is_grad_enabled()",
    "n.__class__", "list(itertools.accumulate((n, 2, 3)))", "collections.OrderedDict(a=n)", "frozenset(names)",
    "bytes([3])", "@T.equal(@T)", "math.sqrt(abs(n))", "any(v > 1 for v in (n, 0))", "@T.data_ptr() == x.data_ptr()",
    "n.__floordiv__(2)", "hasattr(n, 'node')", "f'{n:>4}'", "format(x.shape[0], 'd')", "range(x.shape[0])",
    "n < 99 and 2 ** n", "slice(x.shape[0])", "{x.shape[0]: 1}", "x.shape[0] == 2.0", "numpy.float32(1.5) * n",
    "numpy.arange(int(n))",
    "complex(n) == n", "str(x.shape)", "list(x.shape)", "tuple(x.stride())", "isinstance(x.shape[0], int)", "x.nbytes",
    "@V.is_leaf", "@V.retains_grad", "@V._is_view()", "@V._base is x", "@V.grad_fn is None",
    "@V.untyped_storage().size()", "@V.requires_grad_() is @V", "[*map(type, (n, x.shape[0]))]",
    "(n for n in range(3))", "(v * 2 for v in [@T])", "typed", "Typed(@T)", "chained(@T)", "@V.numpy(force=True)",
    "torch.get_default_dtype()", "{*names, n}", "lambda n=n: n", "copy.copy(box)", "copy.deepcopy(record)",
    "collections.deque([n], 2)", "collections.defaultdict(list, a=[n])", "vars(record)", "list(net.state_dict())",
    "dict(net.named_buffers())", "tuple(net.parameters())", "typing.Optional[int]", "super(Noisy, noisy).scaled(@T)",
    "sorted([3, n, 1], key=lambda v: -v)", "type(box)(@T)", "object.__repr__(net)[:5]",
    "weakref.ref(@V)", "weakref.finalize(Box(@T), log.append, 'finalized')", "weakref.WeakValueDictionary({1: box})",
    "zip(items, names)", "enumerate(names)", "map(helper, items)", "reversed(items)", "iter(config)", "config.keys()",
    "config.items()", "itertools.count(n)", "itertools.chain(names, items)", "memoryview(b'ab')", "type(@T)",
)  # fmt: skip

SIMPLE = (
    "@new = @T", "x.add_(@N)", "@V.mul_(@T)", "@V[0] = @N", "@V += @T", "box.count += 1", "box.value = @T",
    "items.append(@T)", "config['scale'] = @N", "config['t'] = @T", "log.append(@A)", "net.calls += @N", "pass",
    "box.extra = @A", "record.value = @T", "record.tags.append(@N)", "slotted.value = @T", "deque.append(@N)",
    "counts['a'] += @N", "scale = @N", "items[0] = @T", "items.pop()", "del box.value", "net.flag = not n",
    "@V.zero_()", "@V.t_()", "@V.requires_grad_()", "@V.requires_grad = True", "@V.grad = None", "@V.copy_(@T)",
    "@V[@V > 0] = @N", "@V.data = @T", "@V = @V.detach()", "box.double = @T", "box = Box(@T, @N)", "extra.append(n)",
    "noisy = Noisy(@T, @N)", "Box.factor = @N", "helper.__defaults__ = (@N,)", "net.seen.fill_(@N)", "torch.rand(1)",
    "@new = noisy.missing", "assert n, 'no number'", "n += 1", "n = @N", "torch.manual_seed(@N)", "items.extend([@T])",
    "@new, *rest = box", "@new = next(iter(box))", "config.update(shift=@N)", "config.pop('shift', None)", "extra = @A",
    "@V.out_of_reach = @N", "shared = @T", "del @V", "names_left = [*names]", "(@V, @new) = (@T, @T)",
    "box.items = [@T]; box.items[0] = @T", "held = Noisy(@T); del held", "@new = @T; items.append(@new[0])",
    "torch.set_grad_enabled(n > 1)", "net.linear.weight.requires_grad_(n == 2)",
    "@new = torch.empty(2, 2); @new.fill_(1)", "print", "g = numbers(@T); next(g); @new = g.send(@N)",
    "g = numbers(@T); next(g); g.close()", "g = numbers(@T); @new = next(g); del g", "net.linear.bias.data.add_(@N)",
    "with torch.no_grad(): @V.add_(@N)", "torch.add(@T, 1, out=@V)", "(t := @V).resize_(t.shape[::-1])", "@V.set_(@T)",
    "@V.retain_grad()", "@V.sum().backward()", "@V.register_hook(lambda grad: grad * 2)", "@V.detach_()",
    "@V.view(-1)[0] = @N", "@V.expand(2, 2, 2)[0].add_(1)", "x[1:] += y[:1]", "@V.detach().add_(1)", "@V.data.mul_(2)",
    "net.linear.weight.data = @T", "net.zero_grad()", "with torch.no_grad(): net.linear.weight.view(-1)[0] = 2",
    "net.seen = @T", "net.register_buffer('late', @T)", "net.linear.weight.detach().add_(1)", "x.T.add_(y)",
    "x[0].copy_(x[1])", "@V.unsqueeze_(0)", "@V.swapaxes_(0, 1)", "@V.requires_grad_(False)",
    "@V.requires_grad_(not @V.requires_grad)", "net.requires_grad_(n > 2)",
    "@new = torch.tensor(3.0, requires_grad=True)", "@new = @T.clone().detach().requires_grad_()", "items[:] = [@T]",
    "@new = torch.nn.Parameter(@T)", "net.linear.weight = torch.nn.Parameter(@T)", "del items[0]",
    "counts.update('ab')", "items *= 2; del items[8:]", "items += [@T]", "box += @T", "box @= 1", "x @= y",
    "x = x ** n", "box[1:2]",
    "typed.value = @T", "typed.other = @N", "del typed.value", "Scaled.scale = @N", "@V.fill_diagonal_(@N)",
    "@V.relu_()", "@V.exponential_()", "torch.randn(2, 2, out=@V)", "torch.nn.functional.relu(@V, inplace=True)",
    "@V.index_add_(0, torch.tensor([0]), @T)", "@V.masked_fill_(@V > 0, @N)", "torch.nn.init.ones_(net.linear.weight)",
    "net.train(n > 1)", "net.drop.p = 0.25", "(lambda: items.append(@T))()", "log += [@N]", "config |= {'k': @N}",
    "config.setdefault('d', @T)", "box.__dict__['k'] = @N", "setattr(box, 'late', @T)",
    "object.__setattr__(box, 'late', @T)", "helper.note = @N", "net.late = @T", "del net.seen",
    "raise CustomError(@N, 'code')", "chained.calls = @N", "deque.rotate(1)", "deque.extendleft((1, @N))", "@V.names",
    "@V[...] = @T", "@V[:, 0] += 1", "@V[0, 0] = @V[1, 1]", "@V.T[0] = @N", "x, y = y, x", "[x, *y] = @T, *items",
    "print(n, scale)", "warnings.warn('noted')", "print(@N, end='')", "random.shuffle(names_left := [*names])",
    "weakref.finalize(box, log.append, 'finalized')", "held = weakref.ref(noisy, lambda ref: log.append('died'))",
    "noisy = None", "cycle = Box(@T); cycle.value = cycle; del cycle", "late = @N",
)  # fmt: skip

BLOCKS = """\
if @N > 1:
    @B
else:
    @B

for i in range(2):
    @B

with torch.no_grad():
    @B

try:
    @B
finally:
    @B

try:
    @B
except (RuntimeError, ValueError, IndexError, TypeError, AttributeError) as error:
    log.append(type(error).__name__)
    @B

try:
    @B
except Exception:
    @B
else:
    @B

with box:
    @B

with logged('a') as name:
    @B

with box as held, torch.enable_grad():
    @B

for value in numbers(@T):
    log.append('turn')
    @B
    break

for value in box:
    @B

turn = 0
while n < 3 and (turn := turn + 1) < 9:
    n += 1
    @B

def inner(value, by=@N):
    nonlocal x
    @B
    return value * by
x = inner(@T)

if @T.sum() > @N:
    @B

if @T is @T:
    @B
else:
    @B

for key, value in config.items():
    log.append(key)
    @B

with contextlib.suppress(Exception):
    @B
    raise KeyError(@N)

try:
    @B
    raise ValueError(@N)
except ValueError as error:
    log.append(error)

with torch.autocast('cpu', dtype=torch.bfloat16):
    @B

class Local(Base):
    kept = @N
    def get(self):
        return @T * self.kept
local = Local().get()
@B

match n:
    case 2:
        @B
    case int():
        @B
    case _:
        pass

try:
    @B
except* ValueError as group:
    log.append(len(group.exceptions))
    @B

try:
    try:
        @B
        raise CustomError(@N, 'inner')
    except CustomError as error:
        raise KeyError(error.code) from error
except KeyError as error:
    log.append(error)
    @B

try:
    try:
        @B
    finally:
        @B
        raise IndexError(@N)
except IndexError as error:
    log.append(error.__context__)

for index in range(3):
    try:
        @B
        continue
    finally:
        log.append(index)
else:
    @B

for name in names:
    if name == 'second':
        break
    @B
else:
    @B

with torch.inference_mode():
    @B

with torch.no_grad(), logged('b'):
    @B

with torch.set_grad_enabled(n > 1):
    @B

with contextlib.ExitStack() as stack:
    stack.callback(log.append, 'left')
    @B

def gen(value):
    got = yield value * @N
    @B
    return got
@new = next(gen(@T))

def gen(value):
    try:
        yield value
    except CustomError as error:
        log.append(error.code)
        @B
        yield value * 2
g = gen(@T)
next(g)
@new = g.throw(CustomError(@N, 'thrown'))

def recursive(value, depth):
    return value if depth <= 0 else recursive(value * 2, depth - 1) + 1
@new = recursive(@T, 3)
@B

class Local(Box):
    def __setattr__(self, name, value):
        log.append(name)
        super().__setattr__(name, value)
    def scaled(self, value):
        return super().scaled(value) + self.factor
local = Local(@T)
@B
@new = local.scaled(@T)

if (t := @T).dim() > 1:
    @B

match extra:
    case [first, *rest]:
        log.append(rest)
        @B
    case {'a': value}:
        @B
    case Box(count=2):
        @B

functions = [lambda value, by=index: value * by + index for index in range(2)]
@new = functions[0](@T)
@B

def hook(grad):
    log.append('hook')
    return grad * @N
if x.requires_grad:
    x.register_hook(hook)
@B

async def fetch(value):
    async with contextlib.AsyncExitStack() as stack:
        @B
    return value * 2
coroutine = fetch(@T)
try:
    coroutine.send(None)
except StopIteration as stop:
    @new = stop.value

with warnings.catch_warnings():
    @B

class Local:
    def __getattr__(self, name):
        return @N
    def __del__(self):
        log.append('local gone')
    def __eq__(self, other):
        return @N > 1
local = Local()
@B
log.append(local == n)

try:
    raise ExceptionGroup('two', [ValueError(@N), CustomError(@N, 'code')])
except* CustomError as group:
    @B
except* ValueError:
    log.append('value')

try:
    @B
except Exception as error:
    error.add_note(f'noted {n}')
    raise

try:
    @B
    assert n > 5, 'small'
except AssertionError as error:
    log.append(str(error))
""".split("\n\n")

RESULTS = (
    "return @T", "return @V", "return @T, @A", "return @A", "return [@V, @V]", "return x, y", "return box, @T",
    "return {'t': @T, 'n': @N}", "return [@T for _ in range(min(n, 9))]", "raise ValueError(@A)", "return None",
    "return @V.view(-1), @V", "return lambda: @V", "return numbers(@T)", "return Point(@T, @T)", "return @V, @V.T",
    "return @V[0], @V[1]", "return x[1:], x[:-1]", "return @V.detach(), @V", "return @V.expand(2, 2, 2)",
    "return net(@T), net.seen", "return (yielded for yielded in [@T])", "return Scaled.apply(@T), @V",
    "return @V.sum()", "return Typed(@T), typed", "raise CustomError(@A, 'end')", "return x.shape, @T",
    "return (@V * @V).sum(), @V",
)  # fmt: skip

ARGUMENTS = (
    "[torch.ones(2, 2), torch.full((2, 2), 0.25), 2, [1]]",
    "[torch.arange(4.0).view(2, 2), torch.ones(2, 2, requires_grad=True), 3, []]",
    "[torch.ones(2, 2).t(), torch.zeros(2, 2, dtype=torch.float64), 1, {'a': 1}]",
    "(lambda t: [t, t, 2, [t]])(torch.arange(4.0).view(2, 2))",
    "(lambda t: [t[:2], t[1:], 2, [1]])(torch.arange(6.0).view(3, 2))",
    "[torch.ones(2, 2), shared, 2, [shared]]",
    "[box.value, net.seen, 2, box]",
    "[torch.arange(4).view(2, 2), torch.ones(2, 2) > 0, 2, None]",
    "[torch.ones(2, 2), torch.ones(2), 2.0, (1, 2)]",
    "[torch.ones(2, 2), torch.ones(1, 2), True, 'text']",
    "[torch.ones(2, 2), torch.nn.Parameter(torch.ones(2, 2)), 0, [torch.ones(1)]]",
    "[net.linear.weight, net.linear.weight[0], 2, net]",
    "[net.linear.weight.data, net.linear.weight, 3, [1]]",
    "[torch.ones(1, 2).expand(2, 2), torch.ones(2, 2), 2, box]",
    "[torch.ones(2, 2, requires_grad=True) * 2, torch.ones(2, 2), 2, [3]]",
    "(lambda t: [t, t.T, 2, {'a': t}])(torch.arange(4.0).view(2, 2))",
    "(lambda t: [t, t.detach(), 2, [1]])(torch.ones(2, 2, requires_grad=True))",
    "(lambda t: [t.view(2, 2), t[::2].view(2, 1), 2, [t]])(torch.arange(4.0))",
    "[torch.ones(2, 2, dtype=torch.complex64), torch.ones(2, 2), numpy.int64(3), (1,)]",
    "[torch.ones(2, 2, dtype=torch.bfloat16), torch.ones(2, 2), 10**30, ['a']]",
    "[torch.ones(3, 2), torch.ones(3, 2), 3, [torch.ones(3)]]",
)

/** The dashboard: its frame, and which page stands in it. */

import { lazy, type ReactNode, Suspense } from "react";
import { Redirect, Route, Router, Switch, useLocation } from "wouter";
import { ErrorBoundary } from "./components/error_boundary.tsx";
import { Login } from "./components/login.tsx";
import { Shell } from "./components/shell.tsx";
import { NotFoundPage } from "./pages/not_found.tsx";
import { TasksPage } from "./pages/tasks.tsx";
import { BASE_PATH } from "./server.ts";
import { SessionProvider } from "./session.tsx";

const TaskPage = lazy(() => import("./pages/task.tsx"));
const CreatePage = lazy(() => import("./pages/create.tsx"));
const QueuePage = lazy(() => import("./pages/queue.tsx"));
const HistoryPage = lazy(() => import("./pages/history.tsx"));
const ConnectionsPage = lazy(() => import("./pages/connections.tsx"));

export function App(): ReactNode {
  return (
    <Router base={BASE_PATH}>
      <SessionProvider login={(denial, signIn) => <Login denial={denial} signIn={signIn} />}>
        <Shell>
          <Guarded />
        </Shell>
      </SessionProvider>
    </Router>
  );
}

/** A page that has stopped is left behind with its address. */
function Guarded(): ReactNode {
  const [path] = useLocation();
  return (
    <ErrorBoundary key={path}>
      <Suspense>
        <Pages />
      </Suspense>
    </ErrorBoundary>
  );
}

function Pages(): ReactNode {
  return (
    <Switch>
      <Route path="/">{<TasksPage />}</Route>
      <Route path="/tasks">
        <Redirect to="/" replace />
      </Route>
      <Route path="/tasks/:taskId">
        {({ taskId }) => <TaskPage key={taskId} taskId={taskId.toLowerCase()} />}
      </Route>
      <Route path="/new">
        <CreatePage />
      </Route>
      <Route path="/queue">
        <QueuePage />
      </Route>
      <Route path="/history">
        <HistoryPage />
      </Route>
      <Route path="/connections">
        <ConnectionsPage />
      </Route>
      <Route>
        <NotFoundPage />
      </Route>
    </Switch>
  );
}
